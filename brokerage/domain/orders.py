"""An order and how it may move.

The status is one axis; beside it stand what was filled, what was executed, and what the exchange
says was executed in all. They are independent facts: a fill during a pending cancel raises
`filled_shares` and leaves the status alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from brokerage.domain.errors import InvariantBroken


class Side(StrEnum):
    """Which way the customer trades; called `position` in the public API."""

    BUY = "buy"
    SELL = "sell"


class OrderType(StrEnum):
    """A market order is sent as a limit order at its collar."""

    MARKET = "market"
    LIMIT = "limit"


class TimeInForce(StrEnum):
    """How long an order may wait: to the end of the day, until cancelled, or not at all."""

    DAY = "day"
    GTC = "gtc"
    IOC = "ioc"


class OrderStatus(StrEnum):
    """Where an order stands."""

    PENDING = "pending"
    SUBMITTED = "submitted"
    PARTIALLY_FILLED = "partially_filled"
    PENDING_CANCEL = "pending_cancel"
    FILLED = "filled"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    REJECTED = "rejected"
    FAILED = "failed"


class Outcome(StrEnum):
    """What is known of the exchange's answer to the placement."""

    UNKNOWN = "unknown"
    ACCEPTED = "accepted"
    REFUSED = "refused"


_S = OrderStatus

MOVES: Final[Mapping[OrderStatus, frozenset[OrderStatus]]] = {
    # A fill can beat the acknowledgement, and so can the end of an order that traded at once.
    _S.PENDING: frozenset(set(OrderStatus) - {_S.PENDING}),
    _S.SUBMITTED: frozenset(
        {_S.PARTIALLY_FILLED, _S.FILLED, _S.PENDING_CANCEL, _S.CANCELLED, _S.EXPIRED}
    ),
    _S.PARTIALLY_FILLED: frozenset({_S.FILLED, _S.PENDING_CANCEL, _S.CANCELLED, _S.EXPIRED}),
    # Back to live when the exchange refuses the cancel; rejected when it had refused the order.
    _S.PENDING_CANCEL: frozenset(
        {_S.SUBMITTED, _S.PARTIALLY_FILLED, _S.FILLED, _S.CANCELLED, _S.EXPIRED, _S.REJECTED}
    ),
    _S.FILLED: frozenset(),
    # Late fills are booked, whatever the order was called meanwhile.
    _S.CANCELLED: frozenset({_S.FILLED}),
    _S.EXPIRED: frozenset({_S.FILLED}),
    # The proof of absence was wrong: the exchange had the order after all. Cancelled if the account
    # could bear a part of it only.
    _S.FAILED: frozenset({_S.PARTIALLY_FILLED, _S.FILLED, _S.CANCELLED}),
    _S.REJECTED: frozenset(),
}
"""Where each status may go. Staying is no move; what is not here is refused."""

OPEN: Final = frozenset({_S.PENDING, _S.SUBMITTED, _S.PARTIALLY_FILLED, _S.PENDING_CANCEL})
CLOSED: Final = frozenset(OrderStatus) - OPEN


@dataclass(frozen=True, slots=True)
class Order:
    """One order of one user.

    `price_cents` is what is sent: the limit, or the collar of a market order, whose
    `limit_price_cents` is None. `filled_shares` and `filled_notional_cents` are the customer's;
    `executed_shares` counts every execution booked, the error account's too. `final_shares` is what
    the exchange says it executed in all and `end_status` how it ended, both known once it has ended
    there; while executions are missing, the order keeps the status it had.
    """

    order_id: str
    user_id: str
    symbol: str
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    shares: int
    limit_price_cents: int | None
    price_cents: int
    send_by: datetime
    created_at: datetime
    updated_at: datetime
    status: OrderStatus = OrderStatus.PENDING
    outcome: Outcome = Outcome.UNKNOWN
    filled_shares: int = 0
    filled_notional_cents: int = 0
    executed_shares: int = 0
    final_shares: int | None = None
    end_status: OrderStatus | None = None
    external_order_id: str | None = None
    reason: str | None = None
    version: int = 1

    @property
    def remaining_shares(self) -> int:
        """What the customer still wants."""
        return self.shares - self.filled_shares

    @property
    def is_open(self) -> bool:
        """True while the order may still change without a surprise."""
        return self.status in OPEN

    @property
    def awaits_answer(self) -> bool:
        """True while only the exchange's answer to the placement can tell how the order goes on.

        An `ioc` order is no longer on the book when it is answered, and the answer alone says with
        how many shares: its fills may be known long before.
        """
        if self.time_in_force is TimeInForce.IOC and self.status is not _S.PENDING_CANCEL:
            return self.is_open and self.end_status is None
        return self.status is _S.PENDING

    @property
    def is_settled(self) -> bool:
        """True when the order has ended and every execution the exchange counts is booked."""
        if self.is_open:
            return False
        return self.final_shares is None or self.executed_shares >= self.final_shares


def reject(order: Order, reason: str, at: datetime) -> Order:
    """The exchange's no, or that of our own checks."""
    moved = replace(_changed(order, _S.REJECTED, at), reason=reason, final_shares=0)
    return replace(moved, outcome=Outcome.REFUSED)


def fail(order: Order, reason: str, at: datetime) -> Order:
    """The order is proved never to have reached the exchange."""
    moved = _changed(order, _S.FAILED, at)
    return replace(moved, outcome=Outcome.REFUSED, reason=reason, final_shares=0)


def acknowledge(order: Order, external_order_id: str, at: datetime) -> Order:
    """The exchange has the order. A status that is past `pending` already stays as it is."""
    known = replace(order, external_order_id=external_order_id, outcome=Outcome.ACCEPTED)
    status = _live_status(known) if order.status is _S.PENDING else order.status
    return _changed(known, status, at)


def request_cancel(order: Order, at: datetime) -> Order:
    """The customer wants the rest of the order gone."""
    return _changed(order, _S.PENDING_CANCEL, at)


def refuse_cancel(order: Order, at: datetime) -> Order:
    """The exchange keeps the order: it is live again, as far as it is filled."""
    return _changed(order, _live_status(order), at)


def record_execution(
    order: Order, shares: int, booked: int, price_cents: int, at: datetime
) -> Order:
    """Count one execution of `shares`, of which `booked` are the customer's at `price_cents`.

    An order is never filled above its quantity: what exceeds it is `shares - booked`.
    Raises `InvariantBroken` if `booked` would overfill it all the same.
    """
    if booked > min(shares, order.remaining_shares):
        raise InvariantBroken(f"{order.order_id}: {booked} of {shares} shares would overfill it")
    counted = replace(
        order,
        executed_shares=order.executed_shares + shares,
        filled_shares=order.filled_shares + booked,
        filled_notional_cents=order.filled_notional_cents + booked * price_cents,
    )
    if order.status is _S.FAILED:
        counted = replace(counted, final_shares=None, outcome=Outcome.ACCEPTED)
    return _changed(counted, _status_after_execution(counted), at)


def end(
    order: Order, status: OrderStatus, final_shares: int, reason: str | None, at: datetime
) -> Order:
    """The order left the exchange's book as `status` (cancelled or expired).

    Until the executions add up to `final_shares` it keeps the status it has: only then is the
    number of shares the customer got a fact.
    """
    ended = replace(
        order, final_shares=final_shares, end_status=status, reason=reason or order.reason
    )
    if order.is_open and ended.executed_shares >= final_shares:
        return _changed(ended, _status_at_end(ended, status), at)
    return _changed(ended, order.status, at)


def _status_after_execution(order: Order) -> OrderStatus:
    if order.filled_shares == order.shares:
        return _S.FILLED
    if order.status in (_S.CANCELLED, _S.EXPIRED, _S.REJECTED):
        return order.status
    if order.end_status is not None and order.executed_shares >= (order.final_shares or 0):
        return _status_at_end(order, order.end_status)
    if order.status is _S.FAILED and not order.filled_shares:
        return _S.FAILED
    if order.executed_shares >= order.shares:
        # The exchange has no more of it, and the error account bears a part: the order is over.
        return _S.CANCELLED
    # A partial fill leaves a pending cancel standing: the customer's wish is not answered by it.
    return _S.PENDING_CANCEL if order.status is _S.PENDING_CANCEL else _live_status(order)


def _status_at_end(order: Order, status: OrderStatus) -> OrderStatus:
    """Filled is what the customer got in full, whatever the exchange calls it."""
    if status is _S.FILLED and order.filled_shares < order.shares:
        return _S.CANCELLED
    return status


def _live_status(order: Order) -> OrderStatus:
    return _S.PARTIALLY_FILLED if order.filled_shares else _S.SUBMITTED


def _changed(order: Order, status: OrderStatus, at: datetime) -> Order:
    if status is not order.status and status not in MOVES[order.status]:
        raise InvariantBroken(f"{order.order_id} cannot go from {order.status} to {status}")
    return replace(order, status=status, updated_at=at, version=order.version + 1)
