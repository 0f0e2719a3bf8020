"""Whatever the exchange says, in whatever order: the books stay right. And the test can fail."""

from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import Any, Final

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from brokerage.domain import booking, corrections, orders
from brokerage.domain.booking import Books, Change
from brokerage.domain.errors import InvariantBroken
from brokerage.domain.ledger import LedgerAccount
from brokerage.domain.orders import Order, OrderStatus
from brokerage.domain.states import Event
from tests.unit.domain.any_history import AnyHistory

S = OrderStatus

TestAnyHistory = AnyHistory.TestCase
TestAnyHistory.settings = settings(max_examples=150, stateful_step_count=40)

# -- bugs that somebody could write one day ----------------------------------------------------

Real = Callable[..., Any]


def end_that_frees_all(real: Real) -> Real:
    """Forgets that executions may still be on their way."""

    def end(order: Order, books: Books, *told: Any) -> Change:
        change: Change = real(order, books, *told)
        freed = booking.with_hold(change.order, "end", "end", before=books.hold_shares, after=0)
        return replace(change, hold_shares=0, held_cents_delta=freed.held_cents_delta)

    return end


def end_that_frees_nothing(real: Real) -> Real:
    """Leaves the hold of an order that has ended."""

    def end(order: Order, books: Books, *told: Any) -> Change:
        kept = books.hold_shares
        change: Change = real(order, books, *told)
        return replace(change, hold_shares=kept, held_cents_delta=0, held_shares_delta=0)

    return end


def settle_that_drops_late_fills(real: Real) -> Real:
    """Takes an order that has ended for one of which nothing can come."""

    def settle(order: Order, books: Books, *told: Any) -> Change:
        change: Change = real(order, books, *told)
        return change if order.is_open else replace(change, postings=())

    return settle


def settle_that_keeps_the_difference(real: Real) -> Real:
    """Charges the limit, where the price was better."""

    def settle(
        order: Order, books: Books, execution_id: str, shares: int, price_cents: int, at: Any
    ) -> Change:
        change: Change = real(order, books, execution_id, shares, order.price_cents, at)
        return change

    return settle


def settle_that_charges_any_price(_: Real) -> Real:
    """Charges a price worse than the limit to the customer."""
    return lambda side, price_cents, limit_cents: price_cents


def settle_that_borrows(real: Real) -> Real:
    """Books on the customer whatever the order has room for, covered or not."""

    def settle(order: Order, books: Books, *told: Any) -> Change:
        change: Change = real(order, replace(books, cash_cents=10**9, position_shares=10**9), *told)
        return change

    return settle


def execution_beyond_the_order(_: Real) -> Real:
    """Lets the customer have an overfill."""

    def record(order: Order, shares: int, booked: int, price_cents: int, at: Any) -> Order:
        return replace(
            order,
            executed_shares=order.executed_shares + shares,
            matched_shares=order.matched_shares + shares,
            filled_shares=order.filled_shares + shares,
            filled_notional_cents=order.filled_notional_cents + shares * price_cents,
            version=order.version + 1,
        )

    return record


def change_without_a_version(real: Real) -> Real:
    """Leaves the version as it was."""

    def changed(order: Order, event: Event, at: Any) -> Order:
        moved: Order = real(order, event, at)
        return replace(moved, version=order.version)

    return changed


def cancel_that_is_forgotten(real: Real) -> Real:
    """Takes a part's fill for the answer to a wish to cancel."""

    def next_status(status: OrderStatus, event: Event, **told: bool) -> OrderStatus | None:
        if (status, event) == (S.PENDING_CANCEL, Event.FILLED_IN_PART):
            return S.PARTIALLY_FILLED
        found: OrderStatus | None = real(status, event, **told)
        return found

    return next_status


def used_up_is_filled(real: Real) -> Real:
    """Calls an order filled of which the firm has a part."""

    def execution_event(counted: Order) -> Event:
        event: Event = real(counted)
        return Event.FILLED if event in (Event.USED_UP, Event.ENDED_CANCELLED) else event

    return execution_event


def bust_of_the_customers_legs(real: Real) -> Real:
    """Reverses what the customer had, and leaves the rest where it is."""

    def amend(*told: Any) -> Change:
        change: Change = real(*told)
        mine = tuple(leg for leg in change.postings if leg.account is LedgerAccount.USER)
        return replace(change, postings=mine)

    return amend


def bust_that_frees_nothing(real: Real) -> Real:
    """Takes the shares back and leaves what the order counts."""

    def amend(order: Order, *told: Any) -> Change:
        change: Change = real(order, *told)
        counted = replace(
            change.order,
            filled_shares=order.filled_shares,
            filled_notional_cents=order.filled_notional_cents,
        )
        return replace(change, order=counted)

    return amend


PLANTED: Final[list[tuple[ModuleType, str, Callable[[Real], Real]]]] = [
    (booking, "end", end_that_frees_all),
    (booking, "end", end_that_frees_nothing),
    (booking, "settle", settle_that_drops_late_fills),
    (booking, "settle", settle_that_keeps_the_difference),
    (booking, "charged_price_cents", settle_that_charges_any_price),
    (booking, "settle", settle_that_borrows),
    (orders, "record_execution", execution_beyond_the_order),
    (orders, "changed", change_without_a_version),
    (orders, "next_status", cancel_that_is_forgotten),
    (orders, "execution_event", used_up_is_filled),
    (corrections, "amend", bust_of_the_customers_legs),
    (corrections, "amend", bust_that_frees_nothing),
]


@pytest.mark.parametrize(
    ("module", "name", "bug"), PLANTED, ids=[bug.__name__ for _, _, bug in PLANTED]
)
def test_the_machine_finds_a_planted_bug(
    module: ModuleType,
    name: str,
    bug: Callable[[Real], Real],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, name, bug(getattr(module, name)))
    searching = settings(
        TestAnyHistory.settings,
        # It ends with the first that is found. Which are tried depends on the constants of the
        # modules that are loaded, so on the tests that ran before: none may be just about found.
        max_examples=10_000,
        phases=[Phase.generate],
        derandomize=True,
        database=None,
        report_multiple_bugs=False,
    )

    with pytest.raises((AssertionError, InvariantBroken)):
        run_state_machine_as_test(AnyHistory, settings=searching)
