"""Every pair of state and event, once each: what the table says is what the functions do."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import product
from pathlib import Path
from typing import Final

import pytest

from brokerage.domain import orders
from brokerage.domain.errors import InvariantBroken
from brokerage.domain.orders import Order
from brokerage.domain.states import (
    CLOSED,
    ONCE_ENDED_REFUSED,
    OPEN,
    TRANSITIONS,
    Event,
    OrderStatus,
    next_status,
)
from tests.support.orders import NOON, an_order

LATER: Final = NOON + timedelta(seconds=1)
PAGE: Final = Path(__file__).parents[3] / "docs" / "states.md"
S = OrderStatus


@dataclass(frozen=True)
class Happening:
    """One way an event comes about: what was so before, of ten shares, and the step that brings it.

    An order of any status can have any count of shares: busts lower them, and leave the status.
    """

    step: Callable[[Order], Order]
    filled: int = 0
    executed: int = 0
    final: int = 10
    matched: int | None = None


def _execution(shares: int, booked: int) -> Callable[[Order], Order]:
    return lambda order: orders.record_execution(order, shares, booked, 19_990, LATER)


def _end(status: OrderStatus, final: int) -> Callable[[Order], Order]:
    return lambda order: orders.end(order, status, final, None, LATER)


def _amendment(event: Event, shares: int, booked: int) -> Callable[[Order], Order]:
    return lambda order: orders.amend_execution(order, event, shares, booked, 0, LATER)


def _event(event: Event) -> Callable[[Order], Order]:
    return lambda order: orders.changed(order, event, LATER)


HAPPENINGS: Final[Mapping[Event, tuple[Happening, ...]]] = {
    Event.ACKNOWLEDGED: (Happening(lambda order: orders.acknowledge(order, "x-1", LATER)),),
    Event.REFUSED: (Happening(lambda order: orders.reject(order, "halted", LATER)),),
    Event.PROVED_ABSENT: (Happening(lambda order: orders.fail(order, "not-placed", LATER)),),
    Event.CANCEL_REQUESTED: (Happening(lambda order: orders.request_cancel(order, LATER)),),
    Event.CANCEL_REFUSED: (Happening(lambda order: orders.refuse_cancel(order, LATER)),),
    Event.CANCEL_REFUSED_BEGUN: (
        Happening(lambda order: orders.refuse_cancel(order, LATER), filled=4, executed=4),
    ),
    Event.EXECUTED: (Happening(_execution(4, 0)), Happening(_execution(4, 0), executed=3)),
    Event.FILLED_IN_PART: (
        Happening(_execution(4, 4)),
        Happening(_execution(4, 4), filled=5, executed=5),
        Happening(_execution(4, 0), filled=1, executed=1),
    ),
    Event.FILLED: (
        Happening(_execution(10, 10)),
        Happening(_execution(6, 6), filled=4, executed=4),
        Happening(_execution(25, 10)),
        Happening(_execution(9, 6), filled=4, executed=14),
    ),
    Event.USED_UP: (
        Happening(_execution(10, 4)),
        Happening(_execution(6, 0), filled=4, executed=4),
        Happening(_execution(25, 4)),
    ),
    Event.USED_UP_UNFILLED: (Happening(_execution(10, 0)), Happening(_execution(25, 0))),
    Event.END_TOLD: (
        Happening(_end(S.CANCELLED, 4)),
        Happening(_end(S.EXPIRED, 4), filled=3, executed=3),
        Happening(_end(S.FILLED, 10), filled=4, executed=4),
    ),
    Event.ENDED_CANCELLED: (
        Happening(_end(S.CANCELLED, 0)),
        Happening(_end(S.CANCELLED, 4), filled=4, executed=4),
        Happening(_end(S.FILLED, 10), filled=4, executed=10),
    ),
    Event.ENDED_EXPIRED: (
        Happening(_end(S.EXPIRED, 0)),
        Happening(_end(S.EXPIRED, 4), filled=4, executed=4),
    ),
    Event.BUSTED: (
        Happening(_event(Event.BUSTED)),
        Happening(_amendment(Event.BUSTED, -4, -4), filled=4, executed=4),
        Happening(_amendment(Event.BUSTED, -4, -1), filled=4, executed=4),
    ),
    Event.CORRECTED: (
        Happening(_event(Event.CORRECTED)),
        Happening(_amendment(Event.CORRECTED, 1, 1), filled=4, executed=4, matched=6),
        Happening(_amendment(Event.CORRECTED, -1, -1), filled=4, executed=4),
    ),
}

ALL_WAYS: Final = [
    pytest.param(status, event, way, id=f"{status}-{event}-{number}")
    for status, event in product(OrderStatus, Event)
    for number, way in enumerate(HAPPENINGS[event])
]


def order_before(status: OrderStatus, way: Happening) -> Order:
    """An order of ten shares, in this status, of which so much is filled and executed."""
    return an_order(
        status=status,
        filled_shares=way.filled,
        executed_shares=way.executed,
        matched_shares=way.executed if way.matched is None else way.matched,
    )


@pytest.mark.parametrize(("status", "event", "way"), ALL_WAYS)
def test_an_event_makes_of_a_status_what_the_table_says_or_is_refused(
    status: OrderStatus, event: Event, way: Happening
) -> None:
    order = order_before(status, way)
    expected = TRANSITIONS[event][status]

    if expected is None:
        with pytest.raises(InvariantBroken):
            way.step(order)
    else:
        after = way.step(order)
        assert (after.status, after.version, after.updated_at) == (expected, 2, LATER)


@pytest.mark.parametrize(
    ("status", "event", "way"),
    [way for way in ALL_WAYS if way.values[0] in OPEN and way.values[1] in ONCE_ENDED_REFUSED],
)
def test_what_an_ending_order_cannot_meet_any_more_is_refused(
    status: OrderStatus, event: Event, way: Happening
) -> None:
    ending = replace(order_before(status, way), end_status=S.CANCELLED, final_shares=10)

    with pytest.raises(InvariantBroken):
        way.step(ending)


@pytest.mark.parametrize(
    ("event", "end_status", "missing", "shares", "booked"),
    [
        (Event.EXECUTED, S.CANCELLED, 5, 4, 0),
        (Event.FILLED_IN_PART, S.EXPIRED, 5, 4, 4),
        (Event.FILLED, S.CANCELLED, 10, 10, 10),
        (Event.FILLED, S.EXPIRED, 20, 10, 10),
        (Event.USED_UP, S.CANCELLED, 20, 10, 4),
        (Event.USED_UP_UNFILLED, S.EXPIRED, 20, 10, 0),
        (Event.ENDED_CANCELLED, S.CANCELLED, 4, 4, 4),
        (Event.ENDED_CANCELLED, S.CANCELLED, 10, 10, 0),
        (Event.ENDED_CANCELLED, S.FILLED, 10, 10, 4),
        (Event.ENDED_EXPIRED, S.EXPIRED, 4, 4, 0),
        (Event.ENDED_EXPIRED, S.EXPIRED, 4, 6, 6),
    ],
)
@pytest.mark.parametrize("status", sorted(OPEN))
def test_an_execution_of_an_ending_order_completes_it_when_all_are_there(
    status: OrderStatus,
    event: Event,
    end_status: OrderStatus,
    missing: int,
    shares: int,
    booked: int,
) -> None:
    ending = an_order(status=status, end_status=end_status, final_shares=missing)

    after = orders.record_execution(ending, shares, booked, 19_990, LATER)

    assert after.status is TRANSITIONS[event][status]


@pytest.mark.parametrize("status", sorted(OPEN - {S.PENDING}))
def test_an_order_whose_last_share_is_matched_is_filled_whatever_was_busted_of_it(
    status: OrderStatus,
) -> None:
    # Four of ten were busted; the exchange does not put them back on its book.
    begun = an_order(status=status, matched_shares=4)

    assert orders.record_execution(begun, 6, 6, 19_990, LATER).status is S.FILLED
    assert orders.record_execution(begun, 6, 5, 19_990, LATER).status is S.CANCELLED


@pytest.mark.parametrize("status", sorted(set(OrderStatus) - {S.PENDING, S.REJECTED}))
def test_a_correction_may_bring_the_last_share(status: OrderStatus) -> None:
    short = an_order(status=status, filled_shares=8, executed_shares=8, matched_shares=10)

    assert orders.amend_execution(short, Event.CORRECTED, 2, 2, 0, LATER).status is S.FILLED


@pytest.mark.parametrize("status", sorted(OPEN - {S.PENDING}))
def test_what_is_taken_back_from_an_ending_order_is_not_waited_for(status: OrderStatus) -> None:
    ending = an_order(
        status=status,
        end_status=S.CANCELLED,
        final_shares=7,
        filled_shares=4,
        executed_shares=4,
        matched_shares=4,
    )

    busted = orders.amend_execution(ending, Event.BUSTED, -4, -4, -80_000, LATER)
    ended = orders.record_execution(busted, 3, 3, 19_990, LATER)

    assert (busted.status, busted.final_shares) == (status, 3)
    assert (ended.status, ended.is_settled) == (S.CANCELLED, True)


@pytest.mark.parametrize(
    ("shares", "booked"), [(-5, -4), (-4, -5), (-4, 7), (1, 2)], ids=lambda count: f"{count:+}"
)
def test_no_more_is_taken_back_than_there_is_and_no_more_given_than_was_matched(
    shares: int, booked: int
) -> None:
    order = an_order(status=S.SUBMITTED, filled_shares=4, executed_shares=4, matched_shares=4)

    with pytest.raises(InvariantBroken, match="amended"):
        orders.amend_execution(order, Event.CORRECTED, shares, booked, 0, LATER)


def test_the_table_names_every_pair_and_the_tests_every_event() -> None:
    assert list(TRANSITIONS) == list(Event) == list(HAPPENINGS)
    assert all(list(row) == list(OrderStatus) for row in TRANSITIONS.values())
    assert set(Event) > ONCE_ENDED_REFUSED


def test_no_order_of_any_status_refuses_that_something_was_executed() -> None:
    # Money that moved is never dropped. Only the firm has what is executed of a rejected order.
    executions = (Event.EXECUTED, Event.FILLED_IN_PART, Event.USED_UP, Event.USED_UP_UNFILLED)
    for status, event in product(OrderStatus, (*executions, Event.FILLED)):
        refused = (status, event) == (S.REJECTED, Event.FILLED)
        assert (next_status(status, event, end_told=False) is None) is refused
        if status in OPEN:
            assert next_status(status, event, end_told=True) is not None


def test_an_order_that_ended_is_never_open_again_but_a_failed_one_that_the_exchange_had() -> None:
    reopened = {
        (before, event)
        for event, row in TRANSITIONS.items()
        for before, after in row.items()
        if before in CLOSED and after in OPEN
    }

    assert reopened == {(S.FAILED, Event.FILLED_IN_PART)}


def test_open_and_closed_are_all_statuses() -> None:
    assert set(OrderStatus) == OPEN | CLOSED
    assert not OPEN & CLOSED
    assert {S.PENDING, S.SUBMITTED, S.PARTIALLY_FILLED, S.PENDING_CANCEL} == OPEN


def test_the_page_shows_the_table() -> None:
    lines = [
        "| what happens | " + " | ".join(OrderStatus) + " |",
        "|---" * (len(OrderStatus) + 1) + "|",
        *(
            f"| `{event}`{' *' if event in ONCE_ENDED_REFUSED else ''} | "
            + " | ".join(_shown(before, after) for before, after in row.items())
            + " |"
            for event, row in TRANSITIONS.items()
        ),
    ]

    shown = [line for line in PAGE.read_text().splitlines() if line.startswith("|")]

    assert shown == lines


def _shown(before: OrderStatus, after: OrderStatus | None) -> str:
    if after is None:
        return "x"
    return "=" if after is before else after
