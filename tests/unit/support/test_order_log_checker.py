"""The checker of order streams finds what a broken stream would tell."""

import json
from typing import Any

import pytest

from tests.support.order_log_checker import Heard, Row, differing, shown, violations

DETAIL: dict[str, Any] = {"executionId": "E-1", "shares": 1, "priceInCents": 5, "bookedShares": 1}
ROWS = [
    Row(1, "placed", {"v": 1}, {}),
    Row(2, "submitted", {"v": 2}, {}),
    Row(3, "fill", {"v": 3}, DETAIL),
]
LOG = [Heard(row.seq, json.dumps(shown(row))) for row in ROWS]
ONE, TWO, THREE = LOG


def test_log_as_it_is_violates_nothing() -> None:
    assert violations("ada", LOG, ROWS) == []
    assert violations("ada", [], []) == []


@pytest.mark.parametrize(
    ("heard", "found"),
    [
        ([ONE, THREE], "2 to 2 are missing"),
        ([TWO, THREE], "1 to 1 are missing"),
        ([ONE, TWO], "3 to 3 never came"),
        ([], "1 to 3 never came"),
        ([ONE, TWO, TWO, THREE], "2 again"),
        ([ONE, THREE, TWO], "2 again, or too late"),
        ([*LOG, Heard(4, "{}")], "4 is not in the table"),
        ([ONE, Heard(2, THREE.data), THREE], "2 is not what the table says"),
        (
            [ONE, TWO, Heard(3, THREE.data.replace('"bookedShares": 1', '"bookedShares": 2'))],
            "3 is not",
        ),
        ([ONE, Heard(2, TWO.data.replace('"v": 2', '"v": 1')), THREE], "2 is not what"),
    ],
)
def test_each_way_to_tell_it_wrongly_is_found(heard: list[Heard], found: str) -> None:
    assert any(found in violation for violation in violations("ada", heard, ROWS))


def test_other_bytes_for_the_same_event_are_found() -> None:
    other = Heard(2, TWO.data.replace(" ", ""))

    assert differing([LOG, LOG]) == []
    assert len(differing([LOG, [ONE, other]])) == 1
