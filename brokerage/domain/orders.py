"""An order, and which event something is to it; what that makes of its status says `states`.

The status is one axis; beside it stand what was filled, what was executed, and what the exchange
says was executed in all. They are independent facts: a fill during a pending cancel raises
`filled_shares` and leaves the status alone.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from brokerage.domain.errors import InvariantBroken
from brokerage.domain.states import OPEN, Event, next_status
from brokerage.domain.states import OrderStatus as OrderStatus


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


class Outcome(StrEnum):
    """What is known of the exchange's answer to the placement."""

    UNKNOWN = "unknown"
    ACCEPTED = "accepted"
    REFUSED = "refused"


_S = OrderStatus


@dataclass(frozen=True, slots=True)
class Order:
    """One order of one user.

    `price_cents` is what is sent: the limit, or the collar of a market order, whose
    `limit_price_cents` is None. `filled_shares` and `filled_notional_cents` are the customer's;
    `executed_shares` counts every execution that stands, the error account's too; `matched_shares`
    also what the exchange took back of them, for it does not come back to its book. `final_shares`
    is what the exchange says it executed in all and `end_status` how it ended, both known once it
    has ended there; while executions are missing, the order keeps the status it had.
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
    matched_shares: int = 0
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
    def withdrawn_shares(self) -> int:
        """What the exchange took back of all it executed."""
        return self.matched_shares - self.executed_shares

    @property
    def leaves_shares(self) -> int:
        """What the exchange may still execute, for all we have booked."""
        return max(0, self.shares - self.matched_shares)

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
    moved = replace(changed(order, Event.REFUSED, at), reason=reason, final_shares=0)
    return replace(moved, outcome=Outcome.REFUSED)


def fail(order: Order, reason: str, at: datetime) -> Order:
    """The order is proved never to have reached the exchange."""
    moved = changed(order, Event.PROVED_ABSENT, at)
    return replace(moved, outcome=Outcome.REFUSED, reason=reason, final_shares=0)


def acknowledge(order: Order, external_order_id: str, at: datetime) -> Order:
    """The exchange has the order. A status that is past `pending` already stays as it is."""
    known = replace(order, external_order_id=external_order_id, outcome=Outcome.ACCEPTED)
    return changed(known, Event.ACKNOWLEDGED, at)


def request_cancel(order: Order, at: datetime) -> Order:
    """The customer wants the rest of the order gone."""
    return changed(order, Event.CANCEL_REQUESTED, at)


def refuse_cancel(order: Order, at: datetime) -> Order:
    """The exchange keeps the order: it is live again, as far as it is filled."""
    event = Event.CANCEL_REFUSED_BEGUN if order.filled_shares else Event.CANCEL_REFUSED
    return changed(order, event, at)


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
        matched_shares=order.matched_shares + shares,
        filled_shares=order.filled_shares + booked,
        filled_notional_cents=order.filled_notional_cents + booked * price_cents,
    )
    if order.status is _S.FAILED:
        counted = replace(counted, final_shares=None, outcome=Outcome.ACCEPTED)
    return changed(counted, execution_event(counted), at)


def amend_execution(
    order: Order, event: Event, shares: int, booked: int, notional_cents: int, at: datetime
) -> Order:
    """Change what is counted of an execution (`event`: busted or corrected) by so many shares in
    all, so many of the customer's, and so many cents of the customer's.

    The status stays, unless nothing more can come of an open order now, or the customer has all of
    it. `final_shares` falls with what is taken back and never rises: the exchange's answer may have
    counted it already. Too low, a late fill mends it; too high, the order would wait for ever.
    Raises `InvariantBroken` if the order would count less than nothing, or more than was matched.
    """
    executed = order.executed_shares + shares
    counted = replace(
        order,
        executed_shares=executed,
        matched_shares=max(order.matched_shares, executed),
        filled_shares=order.filled_shares + booked,
        filled_notional_cents=order.filled_notional_cents + notional_cents,
    )
    if order.final_shares is not None:
        final = min(order.final_shares, max(0, order.final_shares + shares))
        counted = replace(counted, final_shares=final)
    room = min(counted.shares, counted.matched_shares)
    if executed < 0 or not 0 <= counted.filled_shares <= room:
        raise InvariantBroken(f"{order.order_id}: it cannot be amended by {shares} shares")
    amended = changed(counted, event, at)
    reached = execution_event(amended)
    over = reached not in (Event.EXECUTED, Event.FILLED_IN_PART)
    if reached is Event.FILLED or (over and amended.is_open):
        return replace(amended, status=_after(amended, reached))
    return amended


def end(
    order: Order, status: OrderStatus, final_shares: int, reason: str | None, at: datetime
) -> Order:
    """The order left the exchange's book as `status` (cancelled, expired, or filled).

    Until the executions add up to `final_shares` it keeps the status it has: only then is the
    number of shares the customer got a fact.
    """
    told = changed(order, Event.END_TOLD, at)
    told = replace(told, final_shares=final_shares, end_status=status, reason=reason or told.reason)
    completed = _completion(told)
    return told if completed is None else replace(told, status=_after(told, completed))


def execution_event(counted: Order) -> Event:
    """Which event an execution is, by the numbers that already count it."""
    if counted.filled_shares == counted.shares or _was_filled(counted):
        return Event.FILLED
    if (completed := _completion(counted)) is not None:
        return completed
    if not counted.leaves_shares:
        return Event.USED_UP if counted.filled_shares else Event.USED_UP_UNFILLED
    return Event.FILLED_IN_PART if counted.filled_shares else Event.EXECUTED


def _was_filled(order: Order) -> bool:
    """True for an open order of which nothing is left, nor the firm's: the rest was busted."""
    return (
        order.is_open and not order.leaves_shares and order.filled_shares >= order.executed_shares
    )


def changed(order: Order, event: Event, at: datetime) -> Order:
    """The order after `event`: its status by the table, one version on.

    Raises `InvariantBroken` for an event that cannot happen to an order in its state.
    """
    return replace(order, status=_after(order, event), updated_at=at, version=order.version + 1)


def _completion(order: Order) -> Event | None:
    """The end of an order that the exchange ended and whose executions are all booked.

    Filled is what the customer got in full, whatever the exchange calls it.
    """
    if not order.is_open or order.end_status is None:
        return None
    if order.executed_shares < (order.final_shares or 0):
        return None
    return Event.ENDED_EXPIRED if order.end_status is _S.EXPIRED else Event.ENDED_CANCELLED


def _after(order: Order, event: Event) -> OrderStatus:
    after = next_status(order.status, event, end_told=order.end_status is not None)
    if after is None:
        raise InvariantBroken(f"{order.order_id} is {order.status}: it cannot be {event}")
    return after
