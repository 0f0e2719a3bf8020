"""A machine that plays any history of some users' orders, and looks at all books after each step.

It says everything the exchange could report, also what a correct exchange never would: overfills,
fills after the end, prices worse than the limit, fills of an order that was proved absent, busts
and corrections of anything, beyond the order or its limit, again and again.
"""

from typing import Final

from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
)

from brokerage.domain import booking, corrections
from brokerage.domain.corrections import Amendment
from brokerage.domain.ledger import CASH, LedgerAccount, allocation_of, allocation_postings
from brokerage.domain.orders import Order, OrderStatus, Side
from tests.support.orders import NOON, an_order
from tests.unit.domain.kept_books import Executed, KeptBooks

S = OrderStatus
USERS: Final = ("ada", "bob")
SYMBOLS: Final = ("IBM", "SPY")
# Most of it happens to one: that is where orders get into each other's way.
SOMEBODY: Final = st.sampled_from(("ada", "ada", "ada", "bob"))
SOME_SYMBOL: Final = st.sampled_from(("IBM", "IBM", "IBM", "SPY"))
PRICES: Final = st.integers(min_value=1, max_value=40)
SHARES: Final = st.integers(min_value=1, max_value=12)
CASH_CENTS: Final = st.integers(min_value=0, max_value=1_500)
ENDOWED: Final = st.integers(min_value=0, max_value=8)


def signed(order: Order, amount: int) -> int:
    """Below zero for a sale."""
    return amount if order.side is Side.BUY else -amount


class AnyHistory(RuleBasedStateMachine):
    """Two users, each with cash and shares of two symbols."""

    orders = Bundle("orders")
    executions = Bundle("executions")

    def __init__(self) -> None:
        super().__init__()
        self.kept = KeptBooks()
        self.reports = 0

    @initialize(cash=st.tuples(CASH_CENTS, CASH_CENTS), shares=st.tuples(ENDOWED, ENDOWED))
    def open_accounts(self, cash: tuple[int, int], shares: tuple[int, int]) -> None:
        """Both are given something."""
        for user, cents, count in zip(USERS, cash, shares, strict=True):
            self.kept.open(user, cents, dict.fromkeys(SYMBOLS, count))

    # -- what customers do ---------------------------------------------------------------------

    @rule(
        target=orders,
        user=SOMEBODY,
        side=st.sampled_from(Side),
        symbol=SOME_SYMBOL,
        shares=SHARES,
        price=PRICES,
    )
    def place(self, user: str, side: Side, symbol: str, shares: int, price: int) -> str:
        """Place an order; it may be turned down."""
        return self.take_in(user, side, symbol, shares, price)

    @rule(
        target=orders,
        user=SOMEBODY,
        side=st.sampled_from(Side),
        symbol=SOME_SYMBOL,
        price=PRICES,
    )
    def spend_all(self, user: str, side: Side, symbol: str, price: int) -> str:
        """Place an order that leaves nothing for what comes late."""
        purse = self.kept.purses[user]
        if side is Side.BUY:
            free = (purse.cash_cents - purse.held_cents) // price
        else:
            free = purse.shares[symbol] - purse.held_shares[symbol]
        return self.take_in(user, side, symbol, max(1, free), price)

    def take_in(self, user: str, side: Side, symbol: str, shares: int, price: int) -> str:
        """Store a new order, with its hold or as rejected."""
        order = an_order(
            order_id=f"order-{len(self.kept.orders)}",
            user_id=user,
            side=side,
            symbol=symbol,
            shares=shares,
            price_cents=price,
            limit_price_cents=price,
        )
        self.kept.store(booking.place(order, self.kept.of_order(order)))
        return order.order_id

    @rule(order_id=orders)
    def ask_to_cancel(self, order_id: str) -> None:
        """Ask for the rest to go, if it is live."""
        order = self.kept.order(order_id)
        if order.is_open and order.status is not S.PENDING_CANCEL:
            self.kept.store(booking.request_cancel(order, self.kept.of_order(order), NOON))

    # -- what the exchange says ----------------------------------------------------------------

    @rule(order_id=orders)
    def acknowledge(self, order_id: str) -> None:
        """The exchange has the order."""
        order = self.kept.order(order_id)
        if order.external_order_id is None:
            books = self.kept.of_order(order)
            self.kept.store(booking.acknowledge(order, books, f"x-{order_id}", NOON))

    @rule(order_id=orders)
    def refuse(self, order_id: str) -> None:
        """The exchange refuses the order, or a cancel finds it refused."""
        order = self.kept.order(order_id)
        if order.status in (S.PENDING, S.PENDING_CANCEL) and order.end_status is None:
            self.kept.store(booking.refuse(order, self.kept.of_order(order), "halted", NOON))

    @rule(order_id=orders)
    def prove_absent(self, order_id: str) -> None:
        """The exchange says that it never had the order."""
        order = self.kept.order(order_id)
        if order.status is S.PENDING and order.end_status is None:
            self.kept.store(booking.fail(order, self.kept.of_order(order), NOON))

    @rule(order_id=orders)
    def refuse_cancel(self, order_id: str) -> None:
        """The exchange keeps the order."""
        order = self.kept.order(order_id)
        if order.status is S.PENDING_CANCEL and order.end_status is None:
            books = self.kept.of_order(order)
            self.kept.store(booking.refuse_cancel(order, books, "trading", NOON))

    @rule(
        order_id=orders,
        status=st.sampled_from([S.CANCELLED, S.EXPIRED, S.FILLED]),
        missing=st.integers(min_value=-3, max_value=5),
    )
    def end(self, order_id: str, status: OrderStatus, missing: int) -> None:
        """The order left the exchange's book, with more or fewer shares executed than we know."""
        order = self.kept.order(order_id)
        final = max(0, order.executed_shares + missing)
        if order.is_open and order.end_status is None:
            books = self.kept.of_order(order)
            self.kept.store(booking.end(order, books, status, final, None, NOON))

    @rule(target=executions, order_id=orders, shares=SHARES, price=PRICES)
    def execute(self, order_id: str, shares: int, price: int) -> str:
        """The exchange reports an execution: of any order, of any size, at any price."""
        order = self.kept.order(order_id)
        execution_id = self.new_report_id()
        books = self.kept.of_order(order)
        change = booking.settle(order, books, execution_id, shares, price, NOON)
        self.kept.store(change)
        executed = Executed(order_id, shares, price, list(change.postings))
        self.kept.executions[execution_id] = executed
        better = min(price, order.price_cents)
        charged = better if order.side is Side.BUY else max(price, order.price_cents)
        assert 0 <= change.booked.shares <= shares
        assert change.booked.cents == change.booked.shares * charged
        assert change.order.executed_shares == order.executed_shares + shares
        if change.order.status is S.FILLED is not order.status:
            assert change.order.filled_shares >= min(order.shares, change.order.executed_shares)
        if order.status is S.PENDING_CANCEL:
            # The customer's wish is not answered by a fill.
            assert change.order.status is S.PENDING_CANCEL or not change.order.is_open
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
        executed = self.kept.executions[execution_id]
        order, standing = self.kept.order(executed.order_id), self.kept.standing(execution_id)
        amendment = Amendment(self.new_report_id(), execution_id, shares, price)
        change = corrections.amend(order, self.kept.of_order(order), standing, amendment, NOON)
        self.kept.store(change)
        executed.shares, executed.price_cents = shares, price
        executed.postings += change.postings
        booked = self.kept.standing(execution_id)
        told = allocation_postings(order.side, order.symbol, change.booked)
        assert booked == allocation_of(order.side, told)
        assert (booked.executed_shares, booked.executed_cents) == (shares, shares * price)
        assert 0 <= booked.shares <= max(standing.shares, shares)

    def new_report_id(self) -> str:
        """An id that the exchange used for nothing else."""
        self.reports += 1
        return f"e-{self.reports}"

    @rule(order_id=consumes(orders))
    def forget(self, order_id: str) -> None:
        """Say no more about this order: what it holds must stay right all the same."""

    # -- what always holds ---------------------------------------------------------------------

    @invariant()
    def no_balance_is_overdrawn(self) -> None:
        """Cash and shares cover what is held of them, and nothing is below zero."""
        for purse in self.kept.purses.values():
            assert 0 <= purse.held_cents <= purse.cash_cents
            assert all(0 <= purse.held_shares[one] <= purse.shares[one] for one in SYMBOLS)

    @invariant()
    def what_is_held_is_what_the_holds_hold(self) -> None:
        """No cent and no share is held by nobody."""
        for user, purse in self.kept.purses.items():
            mine = [kept for kept in self.kept.orders.values() if kept.order.user_id == user]
            sells = [kept for kept in mine if kept.order.side is Side.SELL]
            assert purse.held_cents == sum(
                kept.hold_shares * kept.order.price_cents
                for kept in mine
                if kept.order.side is Side.BUY
            )
            for symbol in SYMBOLS:
                assert purse.held_shares[symbol] == sum(
                    kept.hold_shares for kept in sells if kept.order.symbol == symbol
                )

    @invariant()
    def a_hold_lasts_as_long_as_its_order_needs_it(self) -> None:
        """A live order holds what may still come; an ending one what is not booked; others none."""
        for kept in self.kept.orders.values():
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
        for kept in self.kept.orders.values():
            order = kept.order
            assert 0 <= order.filled_shares <= order.shares
            assert max(order.filled_shares, order.executed_shares) <= order.matched_shares
            assert order.status is S.FILLED or order.filled_shares < order.shares
            assert order.status is not S.FILLED or not order.leaves_shares
            limit_cents = order.filled_shares * order.price_cents
            if order.side is Side.BUY:
                assert order.filled_shares <= order.filled_notional_cents <= limit_cents
            else:
                assert order.filled_notional_cents >= limit_cents
            all_booked = order.executed_shares >= (order.final_shares or 0)
            if not order.leaves_shares or (order.end_status is not None and all_booked):
                assert not order.is_open

    @invariant()
    def what_is_filled_is_what_was_booked(self) -> None:
        """An order counts its executions as they stand, shares and cents."""
        for order_id, kept in self.kept.orders.items():
            standing = [self.kept.standing(one) for one in self.kept.executed_of(order_id)]
            order = kept.order
            assert order.executed_shares == sum(one.executed_shares for one in standing)
            assert order.filled_shares == sum(one.shares for one in standing)
            assert order.filled_notional_cents == sum(one.cents for one in standing)

    @invariant()
    def the_ledger_agrees(self) -> None:
        """Users' balances are their entries; all accounts together are zero in every asset."""
        for asset in (CASH, *SYMBOLS):
            users = 0
            for purse in self.kept.purses.values():
                balance = purse.cash_cents if asset == CASH else purse.shares[asset]
                assert purse.ledger[asset] == balance
                users += balance
            assert users + sum(self.kept.firm[one, asset] for one in LedgerAccount) == 0

    @invariant()
    def nothing_that_was_executed_is_lost(self) -> None:
        """Clearing owes every cent that moved; the firm has what no customer could take or give."""
        executed = [(self.kept.order(one.order_id), one) for one in self.kept.executions.values()]
        assert self.kept.firm[LedgerAccount.CLEARING, CASH] == sum(
            signed(order, one.shares * one.price_cents) for order, one in executed
        )
        for symbol in SYMBOLS:
            assert self.kept.firm[LedgerAccount.CLEARING, symbol] == -sum(
                signed(order, one.shares) for order, one in executed if order.symbol == symbol
            )
            assert self.kept.firm[LedgerAccount.ERROR, symbol] == sum(
                signed(kept.order, kept.order.executed_shares - kept.order.filled_shares)
                for kept in self.kept.orders.values()
                if kept.order.symbol == symbol
            )
