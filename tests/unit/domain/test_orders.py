"""What each function makes of an order; every pair of state and event: test_states.py."""

from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import pytest

from brokerage.domain import orders
from brokerage.domain.errors import InvariantBroken
from brokerage.domain.orders import Order, OrderStatus, Outcome, TimeInForce
from tests.support.orders import NOON, an_order

LATER: Final = NOON + timedelta(seconds=1)
S = OrderStatus


def order_in(status: OrderStatus) -> Order:
    """An order that may have that status: with the shares filled that it says."""
    filled = {S.FILLED: 10, S.PARTIALLY_FILLED: 4}.get(status, 0)
    return an_order(
        status=status, filled_shares=filled, executed_shares=filled, matched_shares=filled
    )


def test_a_refused_order_keeps_the_reason_and_expects_no_execution() -> None:
    order = orders.reject(an_order(), "price-out-of-band", LATER)

    assert (order.status, order.outcome, order.reason) == (
        S.REJECTED,
        Outcome.REFUSED,
        "price-out-of-band",
    )
    assert order.final_shares == 0
    assert order.is_settled
    assert (order.version, order.updated_at) == (2, LATER)


def test_a_failed_order_is_over() -> None:
    order = orders.fail(an_order(), "not-placed", LATER)

    assert (order.status, order.outcome, order.reason) == (S.FAILED, Outcome.REFUSED, "not-placed")
    assert order.is_settled


def test_an_acknowledged_order_is_submitted() -> None:
    order = orders.acknowledge(an_order(), "x-1", LATER)

    assert (order.status, order.outcome, order.external_order_id) == (
        S.SUBMITTED,
        Outcome.ACCEPTED,
        "x-1",
    )


def test_an_acknowledgement_after_a_fill_leaves_the_fill() -> None:
    filled_first = orders.record_execution(an_order(), 4, 4, 19_990, NOON)

    order = orders.acknowledge(filled_first, "x-1", LATER)

    assert (order.status, order.filled_shares) == (S.PARTIALLY_FILLED, 4)


@pytest.mark.parametrize("status", [S.PENDING_CANCEL, S.CANCELLED, S.FAILED, S.FILLED])
def test_an_acknowledgement_leaves_a_later_status(status: OrderStatus) -> None:
    order = orders.acknowledge(order_in(status), "x-1", LATER)

    assert (order.status, order.outcome) == (status, Outcome.ACCEPTED)


def test_a_refused_cancel_makes_the_order_live_again_as_far_as_it_is_filled() -> None:
    untouched = orders.request_cancel(an_order(), NOON)
    begun = replace(untouched, filled_shares=3, executed_shares=3, matched_shares=3)

    assert orders.refuse_cancel(untouched, LATER).status is S.SUBMITTED
    assert orders.refuse_cancel(begun, LATER).status is S.PARTIALLY_FILLED


def test_a_partial_fill_leaves_a_pending_cancel_standing() -> None:
    order = orders.record_execution(order_in(S.PENDING_CANCEL), 4, 4, 19_990, LATER)

    assert (order.status, order.filled_shares, order.filled_notional_cents) == (
        S.PENDING_CANCEL,
        4,
        4 * 19_990,
    )


@pytest.mark.parametrize("status", sorted(set(OrderStatus) - {S.REJECTED, S.FILLED}))
def test_the_last_share_fills_an_order_whatever_it_was_called(status: OrderStatus) -> None:
    before = order_in(status)
    rest = before.remaining_shares

    order = orders.record_execution(before, rest, rest, 19_990, LATER)

    assert (order.status, order.remaining_shares) == (S.FILLED, 0)


@pytest.mark.parametrize("status", [S.CANCELLED, S.EXPIRED])
def test_a_late_partial_fill_is_counted_and_the_order_stays_ended(status: OrderStatus) -> None:
    order = orders.record_execution(order_in(status), 4, 4, 19_990, LATER)

    assert (order.status, order.filled_shares) == (status, 4)


def test_a_rejected_order_counts_an_execution_that_nobody_may_have() -> None:
    order = orders.record_execution(order_in(S.REJECTED), 4, 0, 19_990, LATER)

    assert (order.status, order.filled_shares, order.executed_shares) == (S.REJECTED, 0, 4)


def test_a_fill_of_a_failed_order_brings_it_back() -> None:
    failed = orders.fail(an_order(), "not-placed", NOON)

    order = orders.record_execution(failed, 4, 4, 19_990, LATER)

    assert (order.status, order.outcome) == (S.PARTIALLY_FILLED, Outcome.ACCEPTED)
    assert order.final_shares is None


def test_a_fill_of_a_failed_order_that_the_account_cannot_bear_leaves_it_failed() -> None:
    failed = orders.fail(an_order(), "not-placed", NOON)

    order = orders.record_execution(failed, 4, 0, 19_990, LATER)

    assert (order.status, order.executed_shares, order.is_settled) == (S.FAILED, 4, True)


def test_an_order_that_the_exchange_filled_and_the_account_could_not_bear_is_over() -> None:
    begun = orders.record_execution(orders.fail(an_order(), "not-placed", NOON), 4, 4, 19_990, NOON)

    order = orders.record_execution(begun, 6, 0, 19_990, LATER)

    assert (order.status, order.filled_shares, order.is_settled) == (S.CANCELLED, 4, True)


def test_a_failed_order_may_be_filled_in_part_after_all_and_be_over() -> None:
    borne_by_the_firm = orders.record_execution(
        orders.fail(an_order(), "not-placed", NOON), 6, 0, 19_990, NOON
    )

    order = orders.record_execution(borne_by_the_firm, 4, 4, 19_990, LATER)

    assert (order.status, order.filled_shares) == (S.CANCELLED, 4)


@pytest.mark.parametrize(("shares", "booked"), [(4, 5), (20, 11)])
def test_an_order_is_never_filled_above_its_quantity(shares: int, booked: int) -> None:
    with pytest.raises(InvariantBroken, match="overfill"):
        orders.record_execution(an_order(), shares, booked, 19_990, LATER)


@pytest.mark.parametrize("status", [S.CANCELLED, S.EXPIRED])
@pytest.mark.parametrize("before", [S.PENDING, S.SUBMITTED, S.PARTIALLY_FILLED, S.PENDING_CANCEL])
def test_an_end_with_all_executions_booked_ends_the_order(
    before: OrderStatus, status: OrderStatus
) -> None:
    live = order_in(before)

    order = orders.end(live, status, live.executed_shares, "asked", LATER)

    assert (order.status, order.end_status, order.reason) == (status, status, "asked")
    assert order.is_settled


def test_an_end_before_its_last_execution_waits_for_it() -> None:
    asked = orders.request_cancel(an_order(), NOON)

    ending = orders.end(asked, S.CANCELLED, 4, None, NOON)
    ended = orders.record_execution(ending, 4, 4, 19_990, LATER)

    assert (ending.status, ending.is_settled, ending.final_shares) == (S.PENDING_CANCEL, False, 4)
    assert (ended.status, ended.is_settled) == (S.CANCELLED, True)


def test_an_end_as_filled_waits_for_the_fills() -> None:
    asked = orders.request_cancel(an_order(), NOON)

    ending = orders.end(asked, S.FILLED, 10, None, NOON)
    filled = orders.record_execution(ending, 10, 10, 19_990, LATER)

    assert ending.status is S.PENDING_CANCEL
    assert filled.status is S.FILLED


def test_an_order_that_the_customer_did_not_get_in_full_is_not_called_filled() -> None:
    begun = order_in(S.PARTIALLY_FILLED)
    borne_by_the_firm = replace(begun, executed_shares=10, matched_shares=10)

    at_once = orders.end(borne_by_the_firm, S.FILLED, 10, None, LATER)
    ending = orders.end(begun, S.FILLED, 10, None, NOON)
    in_the_end = orders.record_execution(ending, 6, 0, 19_990, LATER)

    assert at_once.status is S.CANCELLED
    assert in_the_end.status is S.CANCELLED


def test_an_order_that_ended_is_settled_when_its_executions_add_up() -> None:
    cancelled = order_in(S.CANCELLED)

    assert cancelled.is_settled
    assert not replace(cancelled, final_shares=4).is_settled
    assert replace(cancelled, final_shares=4, executed_shares=4).is_settled
    assert not order_in(S.SUBMITTED).is_settled


@pytest.mark.parametrize(
    ("changes", "awaits"),
    [
        ({}, True),
        ({"status": S.SUBMITTED}, False),
        ({"status": S.PENDING_CANCEL}, False),
        ({"time_in_force": TimeInForce.IOC}, True),
        ({"time_in_force": TimeInForce.IOC, "status": S.PARTIALLY_FILLED}, True),
        ({"time_in_force": TimeInForce.IOC, "status": S.PENDING_CANCEL}, False),
        ({"time_in_force": TimeInForce.IOC, "status": S.CANCELLED}, False),
        (
            {
                "time_in_force": TimeInForce.IOC,
                "status": S.PARTIALLY_FILLED,
                "end_status": S.CANCELLED,
            },
            False,
        ),
    ],
)
def test_only_the_exchanges_answer_tells_how_these_orders_go_on(
    changes: dict[str, Any], awaits: bool
) -> None:
    # An `ioc` order has left the book when it is answered; its fills do not say that.
    assert an_order(**changes).awaits_answer is awaits
