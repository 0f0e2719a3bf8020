"""Whatever the exchange says, in whatever order: the books stay right.

Hypothesis plays a user's orders and everything the exchange could report of them, also what a
correct exchange never would (overfills, fills after the end, prices worse than the limit, fills of
an order that was proved absent, corrections beyond the order or its limit), and looks at all
balances after each step.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Final

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
)

from brokerage.domain import booking
from brokerage.domain.booking import Books, Change, books_after
from brokerage.domain.corrections import Amendment, amend
from brokerage.domain.ledger import (
    CASH,
    LedgerAccount,
    Posting,
    allocation_of,
    allocation_postings,
    opening_postings,
)
from brokerage.domain.orders import Order, OrderStatus, Side
from tests.support.orders import NOON, an_order

S = OrderStatus
SYMBOLS: Final = ("IBM", "SPY")
PRICES: Final = st.integers(min_value=1, max_value=40)
SHARES: Final = st.integers(min_value=1, max_value=12)


@dataclass
class Kept:
    """An order as stored, and the shares its hold covers; `failed_once` marks a wrong proof."""

    order: Order
    hold_shares: int
    failed_once: bool = False


class AnyHistory(RuleBasedStateMachine):
    """One user with cash and two symbols."""

    orders = Bundle("orders")
    executions = Bundle("executions")

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[str, Kept] = {}
        self.cash_cents = 0
        self.held_cents = 0
        self.shares: Counter[str] = Counter()
        self.held_shares: Counter[str] = Counter()
        self.ledger: Counter[tuple[LedgerAccount, str]] = Counter()
        self.standing_cents: dict[str, int] = {}
        self.legs: dict[str, list[Posting]] = {}
        self.order_of: dict[str, str] = {}
        self.reports = 0

    @initialize(
        cash=st.integers(min_value=0, max_value=1_500),
        shares=st.integers(min_value=0, max_value=8),
    )
    def open_account(self, cash: int, shares: int) -> None:
        """Post an endowment."""
        endowment = dict.fromkeys(SYMBOLS, shares)
        for posting in opening_postings(cash, endowment, {}):
            self.ledger[posting.account, posting.asset] += posting.amount
        self.cash_cents = cash
        self.shares.update(endowment)

    def books(self, order: Order) -> Books:
        """The books as storage would read them for this order."""
        kept = self.kept.get(order.order_id)
        return Books(
            cash_cents=self.cash_cents,
            held_cents=self.held_cents,
            position_shares=self.shares[order.symbol],
            held_shares=self.held_shares[order.symbol],
            hold_shares=kept.hold_shares if kept else 0,
        )

    def store(self, change: Change) -> None:
        """Write a change as storage does, and check what must hold of any change."""
        order = change.order
        kept = self.kept.get(order.order_id)
        assert order.version == (kept.order.version + 1 if kept else 1)
        by_asset: Counter[str] = Counter()
        for posting in change.postings:
            by_asset[posting.asset] += posting.amount
            self.ledger[posting.account, posting.asset] += posting.amount
        assert not any(by_asset.values())

        after = books_after(self.books(order), change)
        self.cash_cents, self.held_cents = after.cash_cents, after.held_cents
        self.shares[order.symbol] = after.position_shares
        self.held_shares[order.symbol] = after.held_shares
        failed_once = order.status is S.FAILED or bool(kept and kept.failed_once)
        self.kept[order.order_id] = Kept(order, after.hold_shares, failed_once)

    def current(self, order_id: str) -> Order:
        """The order as it is now."""
        return self.kept[order_id].order

    # -- what the customer does ----------------------------------------------------------------

    @rule(
        target=orders,
        side=st.sampled_from(Side),
        symbol=st.sampled_from(SYMBOLS),
        shares=SHARES,
        price=PRICES,
    )
    def place(self, side: Side, symbol: str, shares: int, price: int) -> str:
        """Place an order; it may be turned down."""
        order = an_order(
            order_id=f"order-{len(self.kept)}",
            side=side,
            symbol=symbol,
            shares=shares,
            price_cents=price,
            limit_price_cents=price,
        )
        self.store(booking.place(order, self.books(order)))
        return order.order_id

    @rule(order_id=orders)
    def ask_to_cancel(self, order_id: str) -> None:
        """Ask for the rest to go, if it is live."""
        order = self.current(order_id)
        if order.is_open and order.status is not S.PENDING_CANCEL:
            self.store(booking.request_cancel(order, self.books(order), NOON))

    # -- what the exchange says ----------------------------------------------------------------

    @rule(order_id=orders)
    def acknowledge(self, order_id: str) -> None:
        """The exchange has the order."""
        order = self.current(order_id)
        if order.external_order_id is None:
            self.store(booking.acknowledge(order, self.books(order), f"x-{order_id}", NOON))

    @rule(order_id=orders)
    def refuse(self, order_id: str) -> None:
        """The exchange refuses the order, or a cancel finds it refused."""
        order = self.current(order_id)
        if order.status in (S.PENDING, S.PENDING_CANCEL) and order.end_status is None:
            self.store(booking.refuse(order, self.books(order), "halted", NOON))

    @rule(order_id=orders)
    def prove_absent(self, order_id: str) -> None:
        """The exchange says that it never had the order."""
        order = self.current(order_id)
        if order.status is S.PENDING and order.end_status is None:
            self.store(booking.fail(order, self.books(order), NOON))

    @rule(order_id=orders)
    def refuse_cancel(self, order_id: str) -> None:
        """The exchange keeps the order."""
        order = self.current(order_id)
        if order.status is S.PENDING_CANCEL and order.end_status is None:
            self.store(booking.refuse_cancel(order, self.books(order), "trading", NOON))

    @rule(
        order_id=orders,
        status=st.sampled_from([S.CANCELLED, S.EXPIRED, S.FILLED]),
        final=st.integers(min_value=0, max_value=14),
    )
    def end(self, order_id: str, status: OrderStatus, final: int) -> None:
        """The order left the exchange's book, with any number of shares executed."""
        order = self.current(order_id)
        if order.is_open and order.end_status is None:
            self.store(booking.end(order, self.books(order), status, final, None, NOON))

    @rule(target=executions, order_id=orders, shares=SHARES, price=PRICES)
    def execute(self, order_id: str, shares: int, price: int) -> str:
        """The exchange reports an execution: of any order, of any size, at any price."""
        order = self.current(order_id)
        execution_id = self.new_report(order, shares, price)
        change = booking.settle(order, self.books(order), execution_id, shares, price, NOON)
        self.store(change)
        self.legs[execution_id] = list(change.postings)
        self.order_of[execution_id] = order_id
        assert change.order.executed_shares == order.executed_shares + shares
        assert 0 <= change.booked_shares <= shares
        return execution_id

    @rule(execution_id=executions)
    def bust(self, execution_id: str) -> None:
        """The exchange takes an execution back, or says so once more."""
        self.amend(execution_id, 0, 0)

    @rule(execution_id=executions, shares=SHARES, price=PRICES)
    def correct(self, execution_id: str, shares: int, price: int) -> None:
        """The exchange corrects an execution: to any size, to any price, also one it busted."""
        self.amend(execution_id, shares, price)

    def amend(self, execution_id: str, shares: int, price: int) -> None:
        """Book what the exchange makes of an execution; it is what was last said of it."""
        order = self.current(self.order_of[execution_id])
        standing = allocation_of(order.side, self.legs[execution_id])
        self.standing_cents[execution_id] = self.signed(order, shares * price)
        report_id = self.new_report(order, 0, 0)
        amendment = Amendment(report_id, execution_id, shares, price)
        change = amend(order, self.books(order), standing, amendment, NOON)
        self.store(change)
        self.legs[execution_id] += change.postings
        booked = allocation_of(order.side, self.legs[execution_id])
        told = allocation_postings(order.side, order.symbol, change.booked)
        assert booked == allocation_of(order.side, told)
        assert (booked.executed_shares, booked.executed_cents) == (shares, shares * price)
        assert 0 <= booked.shares <= max(standing.shares, shares)

    def new_report(self, order: Order, shares: int, price: int) -> str:
        """A new id of the exchange, for an execution of so much."""
        self.reports += 1
        self.standing_cents[f"e-{self.reports}"] = self.signed(order, shares * price)
        return f"e-{self.reports}"

    @staticmethod
    def signed(order: Order, amount: int) -> int:
        """Below zero for a sale."""
        return amount if order.side is Side.BUY else -amount

    @rule(order_id=consumes(orders))
    def forget(self, order_id: str) -> None:
        """Say no more about this order: what it holds must stay right all the same."""

    # -- what always holds ---------------------------------------------------------------------

    @invariant()
    def no_balance_is_overdrawn(self) -> None:
        """Cash and shares cover what is held of them, and nothing is below zero."""
        assert 0 <= self.held_cents <= self.cash_cents
        for symbol in SYMBOLS:
            assert 0 <= self.held_shares[symbol] <= self.shares[symbol]

    @invariant()
    def what_is_held_is_what_the_holds_hold(self) -> None:
        """No cent and no share is held by nobody."""
        buys = [kept for kept in self.kept.values() if kept.order.side is Side.BUY]
        sells = [kept for kept in self.kept.values() if kept.order.side is Side.SELL]
        assert self.held_cents == sum(kept.hold_shares * kept.order.price_cents for kept in buys)
        for symbol in SYMBOLS:
            assert self.held_shares[symbol] == sum(
                kept.hold_shares for kept in sells if kept.order.symbol == symbol
            )

    @invariant()
    def a_hold_lasts_as_long_as_its_order_needs_it(self) -> None:
        """A live order holds what may still come; an ending one what is not booked; others none."""
        for kept in self.kept.values():
            order = kept.order
            assert 0 <= kept.hold_shares <= order.leaves_shares <= order.remaining_shares
            if not order.is_open:
                assert kept.hold_shares == 0
            elif not kept.failed_once:
                unbooked = (order.final_shares or 0) - order.executed_shares
                ended = order.end_status is not None
                needed = min(order.leaves_shares, unbooked) if ended else order.leaves_shares
                assert kept.hold_shares == needed

    @invariant()
    def every_order_is_what_its_numbers_say(self) -> None:
        """Filled when it had all its shares, and over when nothing more can come."""
        for kept in self.kept.values():
            order = kept.order
            assert 0 <= order.filled_shares <= order.shares
            assert max(order.filled_shares, order.executed_shares) <= order.matched_shares
            assert order.status is S.FILLED or order.filled_shares < order.shares
            assert order.status is not S.FILLED or not order.leaves_shares
            assert order.filled_notional_cents >= order.filled_shares  # a share is a cent or more
            if order.side is Side.BUY:
                assert order.filled_notional_cents <= order.filled_shares * order.price_cents
            else:
                assert order.filled_notional_cents >= order.filled_shares * order.price_cents
            if not order.leaves_shares:
                assert not order.is_open
            if order.end_status is not None and order.executed_shares >= (order.final_shares or 0):
                assert not order.is_open

    @invariant()
    def the_ledger_agrees(self) -> None:
        """The user's balances are their entries; all accounts together are zero in every asset."""
        assert self.ledger[LedgerAccount.USER, CASH] == self.cash_cents
        for symbol in SYMBOLS:
            assert self.ledger[LedgerAccount.USER, symbol] == self.shares[symbol]
        for asset in (CASH, *SYMBOLS):
            assert sum(self.ledger[account, asset] for account in LedgerAccount) == 0

    @invariant()
    def nothing_that_was_executed_is_lost(self) -> None:
        """Clearing owes every cent that moved; the firm has what no customer could take or give."""
        assert self.ledger[LedgerAccount.CLEARING, CASH] == sum(self.standing_cents.values())
        for symbol in SYMBOLS:
            assert self.ledger[LedgerAccount.ERROR, symbol] == sum(
                (kept.order.executed_shares - kept.order.filled_shares)
                * (1 if kept.order.side is Side.BUY else -1)
                for kept in self.kept.values()
                if kept.order.symbol == symbol
            )


TestAnyHistory = AnyHistory.TestCase
TestAnyHistory.settings = settings(max_examples=100, stateful_step_count=40)
