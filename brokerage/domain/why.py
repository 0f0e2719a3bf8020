"""Why an order has not filled: what it waits for, decided from what is known of it and its market.

An order is *reached* by a price at which it may trade: at or below the limit of a buy, at or above
that of a sell. The limit of a market order is its collar.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from brokerage.domain.money import format_dollars
from brokerage.domain.orders import Order, OrderStatus, Side


class WaitsFor(StrEnum):
    """What has to happen next; the first that holds, in this order."""

    ENDED = "ended"
    """Nothing: the order is over."""
    EXECUTIONS_MISSING = "executions-missing"
    """It ended at the exchange, which executed more of it than was booked here so far."""
    WAITING_FOR_CANCEL = "waiting-for-cancel"
    UNKNOWN_OUTCOME = "unknown-outcome"
    """The exchange has not answered whether it has the order."""
    FEED_STALE = "feed-stale"
    """Nobody here knows what trades now."""
    MARKET_CLOSED = "market-closed"
    SYMBOL_HALTED = "symbol-halted"
    REACHED_BUT_BEHIND_OTHERS = "reached-but-behind-others"
    """Its price was traded at; price, then time decide who gets the shares."""
    PRICE_NOT_REACHED = "price-not-reached"


@dataclass(frozen=True, slots=True)
class Traded:
    """What traded in the order's symbol while it stood, from bars that lie in that time as a whole.

    `reached_volume` is the shares of the bars whose range reaches the order, `missed_volume` of
    those since its last fill. `best_price_cents` is None where nothing traded.
    """

    best_price_cents: int | None
    reached_volume: int
    missed_volume: int


@dataclass(frozen=True, slots=True)
class LastTrade:
    """The newest trade of the symbol that this node knows."""

    price_cents: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Why:
    """The answer. `distance_cents` is from the best price to the limit: 0 once that was reached,
    None where nothing traded.
    """

    waits_for: WaitsFor
    explanation: str
    best_price_cents: int | None
    distance_cents: int | None


def why(
    order: Order, traded: Traded, last: LastTrade | None, *, is_open: bool | None, is_halted: bool
) -> Why:
    """Why the order stands as it does. `is_open` is None while the feed is silent: nobody knows."""
    best_cents = traded.best_price_cents
    # The newest second is in no bar yet.
    if order.is_open and last is not None and last.at >= order.created_at:
        best_cents = _better(order, best_cents, last.price_cents)
    waits_for = _waits_for(order, traded, last, is_open=is_open, is_halted=is_halted)
    return Why(
        waits_for,
        _explanation(order, waits_for, traded, best_cents),
        best_cents,
        None if best_cents is None else distance_cents(order, best_cents),
    )


def distance_cents(order: Order, price_cents: int) -> int:
    """How far the market must still come for the order to trade; 0 where a price reaches it."""
    missing = price_cents - order.price_cents
    return max(0, missing if order.side is Side.BUY else -missing)


def _waits_for(
    order: Order, traded: Traded, last: LastTrade | None, *, is_open: bool | None, is_halted: bool
) -> WaitsFor:
    if not order.is_open:
        return WaitsFor.ENDED
    if order.end_status is not None:
        return WaitsFor.EXECUTIONS_MISSING
    if order.status is OrderStatus.PENDING_CANCEL:
        return WaitsFor.WAITING_FOR_CANCEL
    if order.awaits_answer:
        return WaitsFor.UNKNOWN_OUTCOME
    if is_open is None:
        return WaitsFor.FEED_STALE
    if not is_open:
        return WaitsFor.MARKET_CLOSED
    if is_halted:
        return WaitsFor.SYMBOL_HALTED
    is_reached = last is not None and distance_cents(order, last.price_cents) == 0
    if traded.missed_volume or is_reached:
        return WaitsFor.REACHED_BUT_BEHIND_OTHERS
    return WaitsFor.PRICE_NOT_REACHED


def _explanation(order: Order, waits_for: WaitsFor, traded: Traded, best_cents: int | None) -> str:
    filled = f"{order.filled_shares:,} of {order.shares:,} shares"
    if waits_for is WaitsFor.REACHED_BUT_BEHIND_OTHERS:
        return _behind_others(order, traded)
    if waits_for is WaitsFor.PRICE_NOT_REACHED:
        return _not_reached(order, filled, best_cents)
    because = f" ({order.reason})" if order.reason else ""
    unbooked = (order.final_shares or 0) - order.executed_shares
    return {
        WaitsFor.ENDED: f"It is {order.status.value}{because} with {filled} filled.",
        WaitsFor.EXECUTIONS_MISSING: (
            f"It ended at the exchange; {unbooked:,} shares executed there are not booked here yet."
        ),
        WaitsFor.WAITING_FOR_CANCEL: (
            f"A cancel was asked for with {filled} filled; the exchange has not answered yet."
        ),
        WaitsFor.UNKNOWN_OUTCOME: (
            "The exchange has not answered yet; it is asked until the answer is known."
        ),
        WaitsFor.FEED_STALE: "The exchange's feed is silent: nobody here knows what trades now.",
        WaitsFor.MARKET_CLOSED: f"The market is closed; {filled} are filled, the rest stays.",
        WaitsFor.SYMBOL_HALTED: f"{order.symbol} is halted; {filled} are filled, the rest stays.",
    }[waits_for]


def _behind_others(order: Order, traded: Traded) -> str:
    limit = format_dollars(order.price_cents)
    if not traded.missed_volume:
        return (
            f"The last price reaches its {limit}: what was offered there is gone, or its fill is "
            "on its way."
        )
    return (
        f"Its {limit} was reached while {traded.missed_volume:,} shares traded: they went to "
        "orders before it, or its fill is on its way."
    )


def _not_reached(order: Order, filled: str, best_cents: int | None) -> str:
    limit = format_dollars(order.price_cents)
    if best_cents is None:
        return f"{order.symbol} has not traded since it was sent; its limit is {limit}."
    if order.filled_shares:
        return f"{filled} are filled; since the last of them its {limit} was not reached."
    away = format_dollars(distance_cents(order, best_cents))
    return f"The best price since, {format_dollars(best_cents)}, is {away} from its {limit}."


def _better(order: Order, one: int | None, other: int) -> int:
    """The price of two that is better for the order."""
    if one is None:
        return other
    return min(one, other) if order.side is Side.BUY else max(one, other)
