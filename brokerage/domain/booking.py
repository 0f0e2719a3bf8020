"""What one event does to an order, its hold, its user's balances and the ledger, decided at once.

Each function takes the books as they are (read under the user's lock) and returns the one `Change`
that storage then writes in the same transaction. No function here knows how either is done.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from brokerage.domain import orders
from brokerage.domain.errors import Rejected
from brokerage.domain.ledger import (
    CASH,
    Allocation,
    Borne,
    ErrorCause,
    Posting,
    allocate,
    allocation_postings,
    charged_price_cents,
    user_amount,
)
from brokerage.domain.money import format_dollars
from brokerage.domain.orders import Order, OrderStatus, Side

Detail = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Books:
    """A user's balances, and those of one symbol and one order: all that a decision needs.

    `cash_cents` and `position_shares` include what is held; `hold_shares` are the shares of the
    order that its hold still covers.
    """

    cash_cents: int
    held_cents: int
    position_shares: int
    held_shares: int
    hold_shares: int = 0

    @property
    def buying_power_cents(self) -> int:
        """Cash that no order holds."""
        return self.cash_cents - self.held_cents

    @property
    def sellable_shares(self) -> int:
        """Shares that no order holds."""
        return self.position_shares - self.held_shares


@dataclass(frozen=True, slots=True)
class Change:
    """Everything one event changes; `step` is what "once" means for it within the order.

    `booked` is how the execution it is about stands from then on.
    """

    order: Order
    step: str
    kind: str
    hold_shares: int
    held_cents_delta: int = 0
    held_shares_delta: int = 0
    postings: tuple[Posting, ...] = ()
    refusal: Rejected | None = None
    booked: Allocation = field(default_factory=Allocation)
    detail: Detail = field(default_factory=dict)

    @property
    def booked_shares(self) -> int:
        """How much of that execution is the customer's."""
        return self.booked.shares

    @property
    def cash_cents_delta(self) -> int:
        """What the user's cash changes by; equals the sum of the user's postings."""
        return user_amount(self.postings, CASH)

    @property
    def position_shares_delta(self) -> int:
        """What the user's position in the order's symbol changes by."""
        return user_amount(self.postings, self.order.symbol)


def books_after(books: Books, change: Change) -> Books:
    """The books once `change` is written."""
    return Books(
        cash_cents=books.cash_cents + change.cash_cents_delta,
        held_cents=books.held_cents + change.held_cents_delta,
        position_shares=books.position_shares + change.position_shares_delta,
        held_shares=books.held_shares + change.held_shares_delta,
        hold_shares=change.hold_shares,
    )


def place(order: Order, books: Books) -> Change:
    """Take a new order in: hold its cash or shares, or keep it as rejected for want of them."""
    if refusal := shortfall(order, books):
        return turn_down(order, refusal)
    return with_hold(order, "place", "placed", before=0, after=order.shares)


def restore(order: Order, books: Books, wanted_shares: int) -> Change:
    """Take in an order that was placed once and whose row is lost; what became of it is booked
    after this. It holds what may still be executed of it, as far as the account has that.
    """
    if order.side is Side.BUY:
        coverable = books.buying_power_cents // order.price_cents
    else:
        coverable = books.sellable_shares
    held = max(0, min(wanted_shares, coverable))
    return with_hold(order, "place", "restored", before=0, after=held)


def shortfall(order: Order, books: Books) -> Rejected | None:
    """What the account lacks to hold the whole order, if it does."""
    say: Callable[[int], str]
    if order.side is Side.BUY:
        required, available = order.shares * order.price_cents, books.buying_power_cents
        code, say = "insufficient-buying-power", format_dollars
    else:
        required, available = order.shares, books.sellable_shares
        code, say = "insufficient-shares", _format_shares
    if required <= available:
        return None
    return Rejected(
        code,
        f"the order needs {say(required)}; available: {say(max(available, 0))}",
        required=required,
        available=max(available, 0),
    )


def turn_down(order: Order, refusal: Rejected) -> Change:
    """Keep a new order that breaks a rule as `rejected`; it holds nothing."""
    rejected = replace(orders.reject(order, refusal.code, order.updated_at), version=1)
    return Change(rejected, "place", "rejected", hold_shares=0, refusal=refusal)


def acknowledge(order: Order, books: Books, external_order_id: str, at: datetime) -> Change:
    """The exchange accepted the order."""
    moved = orders.acknowledge(order, external_order_id, at)
    return Change(moved, "acknowledge", "submitted", hold_shares=books.hold_shares)


def refuse(order: Order, books: Books, code: str, at: datetime) -> Change:
    """The exchange refused the order: nothing of it will ever trade."""
    moved = orders.reject(order, code, at)
    change = with_hold(moved, "refuse", "rejected", before=books.hold_shares, after=0)
    return replace(change, refusal=Rejected(code, f"the exchange refused the order: {code}"))


def fail(order: Order, books: Books, at: datetime) -> Change:
    """It is proved that the order never reached the exchange."""
    moved = orders.fail(order, "not-placed", at)
    change = with_hold(moved, "fail", "failed", before=books.hold_shares, after=0)
    return replace(change, refusal=Rejected("not-placed", "the order never reached the exchange"))


def request_cancel(order: Order, books: Books, at: datetime) -> Change:
    """Note the customer's wish. An order may be asked to go more than once in its life."""
    moved = orders.request_cancel(order, at)
    step = f"cancel-request:{moved.version}"
    return Change(moved, step, "cancel-requested", hold_shares=books.hold_shares)


def refuse_cancel(order: Order, books: Books, code: str, at: datetime) -> Change:
    """The exchange keeps the order on its book."""
    moved = orders.refuse_cancel(order, at)
    return Change(
        moved,
        f"cancel-refused:{moved.version}",
        "cancel-refused",
        hold_shares=books.hold_shares,
        detail={"code": code},
    )


def end(
    order: Order,
    books: Books,
    status: OrderStatus,
    final_shares: int,
    reason: str | None,
    at: datetime,
) -> Change:
    """The order left the exchange's book. What was not executed is free at once; what was executed
    but is not booked yet stays held.
    """
    moved = orders.end(order, status, final_shares, reason, at)
    unbooked = max(0, final_shares - order.executed_shares)
    kind = "ending" if moved.is_open else str(moved.status)
    return with_hold(
        moved, "end", kind, before=books.hold_shares, after=min(books.hold_shares, unbooked)
    )


def settle(
    order: Order, books: Books, execution_id: str, shares: int, price_cents: int, at: datetime
) -> Change:
    """Book one execution, whatever the order's status: money that moved is never dropped.

    The hold covers it first. What exceeds the hold (a late fill, an overfill) is the customer's if
    the order has room and the account can bear it; else it goes to the error account.
    """
    charged = charged_price_cents(order.side, price_cents, order.price_cents)
    from_hold = min(shares, books.hold_shares, order.remaining_shares)
    beyond = min(shares - from_hold, order.remaining_shares - from_hold)
    if order.side is Side.BUY:
        coverable = books.buying_power_cents // charged if charged else beyond
    else:
        coverable = books.sellable_shares
    uncovered = beyond if beyond > coverable else 0
    booked = from_hold + beyond - uncovered
    over = shares - booked - uncovered
    rest: tuple[Borne, ...] = (
        Borne(ErrorCause.UNCOVERED_LATE_FILL, uncovered, uncovered * price_cents),
        Borne(ErrorCause.OVERFILL, over, over * price_cents),
    )
    if order.status is OrderStatus.REJECTED:
        booked = 0
        rest = (Borne(ErrorCause.LATE_FILL_AFTER_REJECT, shares, shares * price_cents),)
    moved = orders.record_execution(order, shares, booked, charged, at)
    hold_after = books.hold_shares - from_hold
    if not moved.is_open:
        hold_after = 0
    change = with_hold(
        moved, f"fill:{execution_id}", "fill", before=books.hold_shares, after=hold_after
    )
    allocation = allocate(order.side, shares, booked, price_cents, order.price_cents, *rest)
    return replace(
        change,
        postings=allocation_postings(order.side, order.symbol, allocation),
        booked=allocation,
        detail={
            "executionId": execution_id,
            "shares": shares,
            "priceInCents": price_cents,
            "bookedShares": booked,
        },
    )


def _format_shares(shares: int) -> str:
    return f"{shares} {'share' if shares == 1 else 'shares'}"


def with_hold(order: Order, step: str, kind: str, before: int, after: int) -> Change:
    """A change whose hold covers `after` shares instead of `before`."""
    delta = after - before
    if order.side is Side.BUY:
        return Change(order, step, kind, after, held_cents_delta=delta * order.price_cents)
    return Change(order, step, kind, after, held_shares_delta=delta)
