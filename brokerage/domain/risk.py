"""May this order be placed? Whose account it is, how large and how dear it is, what it could meet.

The rules in the order in which they answer: the state of the account, the caps on one order, the
band around the last price, the user's own open orders, the cap on a position, cash or shares.
`POST /order` answers the first that says no; a preview tells all of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from brokerage.domain import booking, prices
from brokerage.domain.booking import Books, Change, books_after
from brokerage.domain.errors import Rejected
from brokerage.domain.ledger import charged_price_cents
from brokerage.domain.money import format_dollars, notional_cents
from brokerage.domain.orders import Order, OrderStatus, Side


class AccountState(StrEnum):
    """What an account may do. Cancels are taken in every state."""

    ACTIVE = "active"
    CLOSE_ONLY = "close-only"
    FROZEN = "frozen"


@dataclass(frozen=True, slots=True)
class Caps:
    """The most that one order, and one position with all that may still join it, may be."""

    order_shares: int
    order_notional_cents: int
    position_shares: int


@dataclass(frozen=True, slots=True)
class OwnOrder:
    """An open order of the same user."""

    order_id: str
    side: Side
    price_cents: int
    status: OrderStatus


@dataclass(frozen=True, slots=True)
class Standing:
    """What counts for a new order of one symbol and side, besides the balances.

    `incoming_shares` are those of the symbol that open buys may still bring. `opposing` is the
    user's open order of the other side that would trade first: the dearest buy, the cheapest sell.
    """

    state: AccountState
    caps: Caps
    incoming_shares: int = 0
    opposing: OwnOrder | None = None


def admit(order: Order, books: Books, standing: Standing, last_price_cents: int) -> Change:
    """Take a new order in with its hold, or keep it as rejected by the first rule that says no."""
    refusal = next(refusals(order, books, standing, last_price_cents), None)
    return booking.turn_down(order, refusal) if refusal else booking.place(order, books)


@dataclass(frozen=True, slots=True)
class Preview:
    """What placing an order would do: every no (the first is the answer), what is estimated to be
    paid or got at the last price (cents), and the books right after it.
    """

    refusals: tuple[Rejected, ...]
    estimated_notional_cents: int
    after: Books


def preview(order: Order, books: Books, standing: Standing, last_price_cents: int) -> Preview:
    """What `admit` would do, and why."""
    charged_cents = charged_price_cents(order.side, last_price_cents, order.price_cents)
    return Preview(
        tuple(refusals(order, books, standing, last_price_cents)),
        notional_cents(order.shares, charged_cents),
        books_after(books, admit(order, books, standing, last_price_cents)),
    )


def refusals(
    order: Order, books: Books, standing: Standing, last_price_cents: int
) -> Iterator[Rejected]:
    """Every no to a new order, in the order in which they answer."""
    found = (
        _state_refusal(order, standing.state),
        _size_refusal(order, standing.caps),
        _notional_refusal(order, standing.caps),
        prices.band_refusal(order.side, order.price_cents, last_price_cents),
        _self_trade(order, standing.opposing),
        _position_refusal(order, books, standing),
        booking.shortfall(order, books),
    )
    return (refusal for refusal in found if refusal is not None)


def _state_refusal(order: Order, state: AccountState) -> Rejected | None:
    if state is AccountState.FROZEN:
        return Rejected("account-frozen", "the account is frozen: it places no orders")
    if state is AccountState.CLOSE_ONLY and order.side is Side.BUY:
        return Rejected("account-close-only", "the account may only sell what it has")
    return None


def _size_refusal(order: Order, caps: Caps) -> Rejected | None:
    if order.shares <= caps.order_shares:
        return None
    return Rejected(
        "order-too-large",
        f"{order.shares} shares are more than the {caps.order_shares} an order may have",
        required=order.shares,
        available=caps.order_shares,
    )


def _notional_refusal(order: Order, caps: Caps) -> Rejected | None:
    notional = notional_cents(order.shares, order.price_cents)
    if notional <= caps.order_notional_cents:
        return None
    return Rejected(
        "order-too-large",
        f"{format_dollars(notional)} is more than the "
        f"{format_dollars(caps.order_notional_cents)} an order may be worth",
        required=notional,
        available=caps.order_notional_cents,
    )


def _self_trade(order: Order, opposing: OwnOrder | None) -> Rejected | None:
    """Only what could trade by the prices sent; orders that merely look alike are no mistake."""
    if opposing is None:
        return None
    buy, sell = order.price_cents, opposing.price_cents
    if order.side is Side.SELL:
        buy, sell = sell, buy
    if buy < sell:
        return None
    leaving = ""
    if opposing.status is OrderStatus.PENDING_CANCEL:
        leaving = ", which may trade until its cancel is answered"
    return Rejected(
        "self-trade",
        f"the order could trade with your own {opposing.side} at "
        f"{format_dollars(opposing.price_cents)}{leaving}",
        conflictingOrderId=opposing.order_id,
        conflictingPosition=opposing.side.value,
        conflictingPriceInCents=opposing.price_cents,
        conflictingStatus=opposing.status.value,
    )


def _position_refusal(order: Order, books: Books, standing: Standing) -> Rejected | None:
    if order.side is Side.SELL:
        return None
    room = standing.caps.position_shares - books.position_shares - standing.incoming_shares
    if order.shares <= room:
        return None
    return Rejected(
        "position-limit",
        f"an account may have {standing.caps.position_shares} shares of {order.symbol}, those of "
        f"open buys included; there is room for {max(room, 0)}",
        required=order.shares,
        available=max(room, 0),
    )
