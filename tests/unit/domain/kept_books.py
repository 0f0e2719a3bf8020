"""What storage keeps of some users, in memory: purses, orders, holds, executions, one ledger."""

from collections import Counter
from dataclasses import dataclass, field

from brokerage.domain.booking import Books, Change, books_after
from brokerage.domain.ledger import (
    Allocation,
    LedgerAccount,
    Posting,
    allocation_of,
    opening_postings,
)
from brokerage.domain.orders import Order, OrderStatus


@dataclass
class Purse:
    """A user's balances."""

    cash_cents: int
    shares: Counter[str]
    held_cents: int = 0
    held_shares: Counter[str] = field(default_factory=Counter)
    ledger: Counter[str] = field(default_factory=Counter)


@dataclass
class Kept:
    """An order as stored, and the shares its hold covers; `failed_once` marks a wrong proof."""

    order: Order
    hold_shares: int
    failed_once: bool = False


@dataclass
class Executed:
    """An execution: what the exchange last said of it, and the postings made for it."""

    order_id: str
    shares: int
    price_cents: int
    postings: list[Posting] = field(default_factory=list)


class KeptBooks:
    """The books of all users; `firm` are the accounts that belong to none."""

    def __init__(self) -> None:
        self.purses: dict[str, Purse] = {}
        self.orders: dict[str, Kept] = {}
        self.executions: dict[str, Executed] = {}
        self.firm: Counter[tuple[LedgerAccount, str]] = Counter()

    def open(self, user_id: str, cash_cents: int, shares: dict[str, int]) -> None:
        """Post an endowment."""
        self.purses[user_id] = Purse(cash_cents, Counter(shares))
        self.post(user_id, opening_postings(cash_cents, shares, {}))

    def order(self, order_id: str) -> Order:
        """The order as it is now."""
        return self.orders[order_id].order

    def of_order(self, order: Order) -> Books:
        """The books as storage would read them for this order."""
        purse, kept = self.purses[order.user_id], self.orders.get(order.order_id)
        return Books(
            cash_cents=purse.cash_cents,
            held_cents=purse.held_cents,
            position_shares=purse.shares[order.symbol],
            held_shares=purse.held_shares[order.symbol],
            hold_shares=kept.hold_shares if kept else 0,
        )

    def store(self, change: Change) -> None:
        """Write a change as storage does, and check what must hold of any change."""
        order, purse = change.order, self.purses[change.order.user_id]
        kept = self.orders.get(order.order_id)
        assert order.version == (kept.order.version + 1 if kept else 1)
        after = books_after(self.of_order(order), change)
        self.post(order.user_id, change.postings)
        purse.cash_cents, purse.held_cents = after.cash_cents, after.held_cents
        purse.shares[order.symbol] = after.position_shares
        purse.held_shares[order.symbol] = after.held_shares
        failed_once = order.status is OrderStatus.FAILED or bool(kept and kept.failed_once)
        self.orders[order.order_id] = Kept(order, after.hold_shares, failed_once)

    def post(self, user_id: str, postings: tuple[Posting, ...]) -> None:
        """Add to the ledger what sums to zero in every asset."""
        by_asset: Counter[str] = Counter()
        for posting in postings:
            by_asset[posting.asset] += posting.amount
            if posting.account is LedgerAccount.USER:
                self.purses[user_id].ledger[posting.asset] += posting.amount
            else:
                self.firm[posting.account, posting.asset] += posting.amount
        assert not any(by_asset.values())

    def standing(self, execution_id: str) -> Allocation:
        """How an execution stands, by its postings."""
        executed = self.executions[execution_id]
        return allocation_of(self.order(executed.order_id).side, executed.postings)

    def executed_of(self, order_id: str) -> list[str]:
        """The executions of an order."""
        return [name for name, one in self.executions.items() if one.order_id == order_id]
