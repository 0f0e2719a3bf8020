"""What one event does to an order, its hold and its user's balances."""

from datetime import timedelta
from typing import Final

import pytest

from brokerage.domain import booking
from brokerage.domain.booking import Books, books_after
from brokerage.domain.errors import Rejected
from brokerage.domain.orders import OrderStatus, Side
from tests.support.orders import NOON, an_order

LATER: Final = NOON + timedelta(seconds=1)
S = OrderStatus
RICH: Final = Books(cash_cents=1_000_000, held_cents=0, position_shares=50, held_shares=0)
HOLDING: Final = Books(
    cash_cents=1_000_000, held_cents=200_000, position_shares=50, held_shares=0, hold_shares=10
)
"""The books with the ten shares held that the order of these tests wants to buy."""


def test_a_buy_holds_its_shares_at_the_price_sent() -> None:
    change = booking.place(an_order(), RICH)

    assert change.order.status is S.PENDING
    assert (change.hold_shares, change.held_cents_delta, change.held_shares_delta) == (
        10,
        200_000,
        0,
    )
    assert books_after(RICH, change).buying_power_cents == 800_000


def test_a_sell_holds_shares_and_no_cash() -> None:
    change = booking.place(an_order(side=Side.SELL), RICH)

    assert (change.hold_shares, change.held_cents_delta, change.held_shares_delta) == (10, 0, 10)
    assert books_after(RICH, change).sellable_shares == 40


@pytest.mark.parametrize("cash", [200_000, 199_999])
def test_a_buy_needs_its_whole_worth_in_buying_power(cash: int) -> None:
    books = Books(cash_cents=cash + 500, held_cents=500, position_shares=0, held_shares=0)

    change = booking.place(an_order(), books)

    if cash == 200_000:
        assert change.refusal is None
        return
    assert change.refusal is not None
    assert change.order.status is S.REJECTED
    assert change.refusal.code == "insufficient-buying-power"
    assert (change.refusal.required, change.refusal.available) == (200_000, 199_999)
    assert (change.hold_shares, change.held_cents_delta) == (0, 0)


@pytest.mark.parametrize("free", [10, 9])
def test_a_sell_needs_its_shares_unheld(free: int) -> None:
    books = Books(cash_cents=0, held_cents=0, position_shares=free + 5, held_shares=5)

    change = booking.place(an_order(side=Side.SELL), books)

    if free == 10:
        assert change.refusal is None
        return
    assert change.refusal is not None
    assert change.refusal.code == "insufficient-shares"
    assert (change.refusal.required, change.refusal.available) == (10, 9)


def test_an_order_turned_down_is_kept_at_its_first_version_and_holds_nothing() -> None:
    order = an_order(updated_at=LATER)

    change = booking.turn_down(order, Rejected("order-too-large", "too large"))

    assert (change.order.created_at, change.order.updated_at) == (NOON, LATER)
    assert (change.order.status, change.order.version) == (S.REJECTED, 1)
    assert change.order.reason == "order-too-large"
    assert (change.step, change.kind, change.hold_shares) == ("place", "rejected", 0)


def test_an_acknowledgement_leaves_the_hold() -> None:
    change = booking.acknowledge(an_order(), HOLDING, "x-1", LATER)

    assert (change.order.status, change.hold_shares) == (S.SUBMITTED, 10)
    assert books_after(HOLDING, change) == HOLDING


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        (booking.refuse(an_order(), HOLDING, "halted", LATER), S.REJECTED, "halted"),
        (booking.fail(an_order(), HOLDING, LATER), S.FAILED, "not-placed"),
    ],
    ids=["refuse", "fail"],
)
def test_an_order_that_will_never_trade_frees_its_hold(
    change: booking.Change, status: OrderStatus, code: str
) -> None:
    assert change.order.status is status
    assert change.refusal is not None
    assert change.refusal.code == code
    assert books_after(HOLDING, change) == RICH


def test_a_cancel_and_its_refusal_keep_the_hold_and_may_come_again() -> None:
    asked = booking.request_cancel(an_order(), HOLDING, LATER)
    kept = booking.refuse_cancel(asked.order, HOLDING, "trading", LATER)
    again = booking.request_cancel(kept.order, HOLDING, LATER)

    assert (asked.hold_shares, kept.hold_shares, again.hold_shares) == (10, 10, 10)
    assert kept.detail == {"code": "trading"}
    assert len({asked.step, kept.step, again.step}) == 3


def test_a_fill_frees_its_whole_part_of_the_hold_and_debits_its_cost() -> None:
    change = booking.settle(an_order(), HOLDING, "e-1", 4, 19_990, LATER)

    after = books_after(HOLDING, change)
    assert (change.booked_shares, change.hold_shares) == (4, 6)
    assert after.cash_cents == 1_000_000 - 4 * 19_990
    assert after.held_cents == 6 * 20_000
    assert after.position_shares == 54
    assert (change.step, change.kind) == ("fill:e-1", "fill")
    assert change.detail["bookedShares"] == 4


def test_a_fill_worse_than_the_limit_debits_the_limit() -> None:
    change = booking.settle(an_order(), HOLDING, "e-1", 10, 20_500, LATER)

    assert change.cash_cents_delta == -200_000
    assert change.order.filled_notional_cents == 200_000
    assert books_after(HOLDING, change).held_cents == 0


def test_a_sell_is_credited_at_once() -> None:
    books = Books(cash_cents=0, held_cents=0, position_shares=10, held_shares=10, hold_shares=10)

    change = booking.settle(an_order(side=Side.SELL), books, "e-1", 4, 20_010, LATER)

    after = books_after(books, change)
    assert (after.cash_cents, after.position_shares, after.held_shares) == (80_040, 6, 6)


def test_an_overfill_fills_the_order_and_no_more() -> None:
    change = booking.settle(an_order(), HOLDING, "e-1", 13, 20_000, LATER)

    assert (change.order.status, change.order.filled_shares, change.order.executed_shares) == (
        S.FILLED,
        10,
        13,
    )
    assert change.booked_shares == 10
    assert books_after(HOLDING, change).position_shares == 60


def test_a_late_fill_is_the_customers_if_the_account_can_bear_it() -> None:
    cancelled = an_order(status=S.CANCELLED)

    borne = booking.settle(cancelled, RICH, "e-1", 4, 20_000, LATER)
    poor = Books(cash_cents=79_999, held_cents=0, position_shares=0, held_shares=0)
    not_borne = booking.settle(cancelled, poor, "e-1", 4, 20_000, LATER)

    assert (borne.booked_shares, borne.order.filled_shares) == (4, 4)
    assert (not_borne.booked_shares, not_borne.order.executed_shares) == (0, 4)
    assert not_borne.cash_cents_delta == 0
    assert not_borne.order.status is S.CANCELLED


def test_a_late_fill_that_costs_nothing_needs_no_buying_power() -> None:
    broke = Books(cash_cents=0, held_cents=0, position_shares=0, held_shares=0)

    change = booking.settle(an_order(status=S.CANCELLED), broke, "e-1", 4, 0, LATER)

    assert (change.booked_shares, change.cash_cents_delta) == (4, 0)


def test_a_late_fill_of_a_sell_needs_the_shares() -> None:
    cancelled = an_order(status=S.CANCELLED, side=Side.SELL)
    bare = Books(cash_cents=0, held_cents=0, position_shares=5, held_shares=2)

    assert booking.settle(cancelled, bare, "e-1", 3, 20_000, LATER).booked_shares == 3
    assert booking.settle(cancelled, bare, "e-1", 4, 20_000, LATER).booked_shares == 0


def test_a_fill_of_a_rejected_order_is_never_the_customers() -> None:
    change = booking.settle(an_order(status=S.REJECTED), RICH, "e-1", 4, 20_000, LATER)

    assert (change.booked_shares, change.order.executed_shares) == (0, 4)
    assert change.postings


def test_an_end_frees_what_was_not_executed_and_keeps_what_is_not_booked() -> None:
    begun = booking.settle(an_order(), HOLDING, "e-1", 3, 20_000, LATER)
    books = books_after(HOLDING, begun)

    ending = booking.end(begun.order, books, S.CANCELLED, 5, None, LATER)
    after = books_after(books, ending)
    last = booking.settle(ending.order, after, "e-2", 2, 20_000, LATER)

    assert (ending.kind, ending.order.status) == ("ending", S.PARTIALLY_FILLED)
    assert (ending.hold_shares, after.held_cents) == (2, 40_000)
    assert last.order.status is S.CANCELLED
    assert books_after(after, last).held_cents == 0


def test_an_end_with_everything_booked_frees_the_whole_hold() -> None:
    change = booking.end(an_order(), HOLDING, S.EXPIRED, 0, "day over", LATER)

    assert (change.kind, change.order.status, change.hold_shares) == ("expired", S.EXPIRED, 0)
    assert books_after(HOLDING, change) == RICH


def test_an_end_that_says_more_than_was_wanted_holds_no_more_than_before() -> None:
    change = booking.end(an_order(), HOLDING, S.CANCELLED, 25, None, LATER)

    assert change.hold_shares == 10
