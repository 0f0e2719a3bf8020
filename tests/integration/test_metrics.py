"""The page of metrics is what a running stack exports, and no label of them is an id."""

import re
from uuid import uuid4

import pytest

from devstack.stack import DevStack
from tests.support.accounts import Account
from tests.support.eventually import eventually
from tests.support.metrics import PAGE, Family, Row, documented, exported, exported_by_kind
from tests.support.trading import MARKET, RESTING, cancelled, ended, place, placed

KINDS = {"api", "orders", "gateway", "feed", "executions", "exchange"}


@pytest.fixture(scope="module")
def page() -> dict[str, Row]:
    """The page's rows, by metric."""
    rows = list(documented())
    assert len(rows) == len({row.name for row in rows}), "a metric has two rows"
    assert len(rows) == PAGE.read_text().count("\n| `"), "a row that cannot be read"
    assert {kind for row in rows for kind in row.kinds} == KINDS
    return {row.name: row for row in rows}


async def _trade(alice: Account) -> None:
    """Have each kind of step happen once."""
    await ended(alice, (await placed(alice, MARKET))["id"], "filled")
    await cancelled(alice, (await placed(alice, RESTING))["id"])


async def test_the_page_has_every_metric_that_is_exported_and_no_other(
    stack: DevStack, alice: Account, page: dict[str, Row]
) -> None:
    await _trade(alice)

    async def the_same() -> None:
        exported = await exported_by_kind(stack)
        assert exported.keys() == KINDS
        for kind, found in exported.items():
            listed = {name for name, row in page.items() if kind in row.kinds}
            awaited = {name for name in listed if page[name].awaited}
            assert found.keys() - listed == set(), f"{kind}: not on the page"
            assert listed - awaited - found.keys() == set(), f"{kind}: not exported"
            for family in found.values():
                _assert_same(family, page[family.name])

    await eventually(the_same, "the page is what is exported", 60)


def _assert_same(family: Family, row: Row) -> None:
    assert family.type == row.type, row
    if family.name.startswith("temporal_"):
        # Some of its calls are about no namespace or no queue.
        assert family.labels <= row.labels, (family, row)
    else:
        # Without a series there are no labels to compare yet.
        assert family.labels in (set(), row.labels), (family, row)


async def test_no_label_is_an_id_of_an_order_a_user_or_a_request(
    stack: DevStack, alice: Account
) -> None:
    order = await placed(alice, RESTING)
    request = await alice.http.get(f"/order/{order['id']}")
    await ended(alice, (await placed(alice, MARKET))["id"], "filled")

    for name, process in stack.processes.items():
        if not process.spec.address.startswith("http://"):
            continue
        text = await exported(stack, name)
        for secret in (order["id"], alice.user, request.headers["x-request-id"], alice.token):
            assert secret not in text, name
        assert not re.search(r"[0-9a-f]{8}-[0-9a-f]{4}", text), name


async def test_placements_are_counted_by_what_they_were_answered(
    stack: DevStack, alice: Account
) -> None:
    async def counts() -> dict[tuple[str, str], float]:
        text = await exported(stack, "api")
        found = re.findall(
            r'^sherwood_placements_total\{code="(.*)",outcome="(.*)"\} (.+)$', text, re.MULTILINE
        )
        return {(outcome, code): float(count) for code, outcome, count in found}

    async def one_of_each() -> list[tuple[str, str]]:
        """What is to be counted, once a node that has the time gave each answer at once."""
        key = str(uuid4())
        accepted = await place(alice, RESTING, key)
        replayed = await place(alice, RESTING, key)
        other = await place(alice, {**RESTING, "numShares": 2}, key)
        rejected = await place(alice, {**RESTING, "priceInCents": 99_999_999})
        answers = [answer.status_code for answer in (accepted, replayed, other, rejected)]
        assert answers == [201, 201, 422, 422]
        assert "idempotent-replayed" not in accepted.headers
        assert replayed.headers["idempotent-replayed"] == "true"
        return [
            ("accepted", ""),
            ("replayed", ""),
            ("not-admitted", other.json()["code"]),
            ("rejected", rejected.json()["code"]),
        ]

    before = await counts()
    kinds = await eventually(one_of_each, "each answer was given", 60)
    after = await counts()

    for outcome, code in kinds:
        assert after.get((outcome, code), 0) > before.get((outcome, code), 0), (outcome, code)
