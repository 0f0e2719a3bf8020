"""Derived names are part of the data: these vectors may never change."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from brokerage.contracts.cells import CELLS, cell_of
from brokerage.contracts.ids import (
    ORDERS_TASK_QUEUE,
    PLACED_UPDATE_ID,
    SHERWOOD_NAMESPACE,
    account_ref_for,
    fill_update_id,
    order_id_for,
    workflow_id_for,
)

KEY = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"


def test_the_ids_of_today_are_the_ids_of_ever() -> None:
    assert UUID("6f0f6e0a-3d0c-5b53-9d5c-8f0d1c1e7a11") == SHERWOOD_NAMESPACE
    assert order_id_for("ada", KEY) == "0e7b1ebe-94bc-57a7-9146-e4ba9e51fabf"
    assert account_ref_for("ada") == "2d03b824-2024-5ef2-a963-dcf6b090f8ce"
    assert fill_update_id(["e-1", "e-2"]) == "fill-1434cfd8dc7599bf9e3b6e2f927942fc"
    assert workflow_id_for("o-1") == "order-o-1"


def test_the_names_that_running_workflows_know_stay() -> None:
    assert (PLACED_UPDATE_ID, ORDERS_TASK_QUEUE) == ("placed", "orders")


def test_another_user_with_the_same_key_means_another_order() -> None:
    assert order_id_for("ada", KEY) != order_id_for("bob", KEY)


def test_the_order_of_reports_is_part_of_an_update() -> None:
    assert fill_update_id(["e-1", "e-2"]) != fill_update_id(["e-2", "e-1"])
    assert fill_update_id(["e-1", "e-2"]) != fill_update_id(["e-1e-2"])


def test_an_account_reference_tells_nothing_about_the_person() -> None:
    assert "ada" not in account_ref_for("ada")


def test_a_user_stays_in_the_cell_where_the_data_is() -> None:
    assert [cell_of(user, 16) for user in ("ada", "bob", "carol", "")] == [14, 10, 14, 4]


@given(st.text(), st.integers(min_value=1, max_value=1_000))
def test_a_cell_is_one_of_those_there_are(user: str, cells: int) -> None:
    assert 0 <= cell_of(user, cells) < cells
    assert 0 <= cell_of(user) < CELLS
