"""May this order be taken now? What is refused here is never remembered against a key.

What changes between this look and the exchange's own is refused there, and that is stored.
"""

import math
import time
from typing import Final

from api.errors import ProblemError
from api.node import NodeState
from api.schemas import PlaceOrder
from brokerage.bus.beat import Trading
from brokerage.bus.connection import BusUnavailable
from brokerage.bus.tick import Tick
from brokerage.contracts.kill_switch import NO_NEW_ORDERS

HALT_SECONDS: Final = 30
"""Nobody says how long a halt lasts: ask again after this time."""
CLOSED_SECONDS_MAX: Final = 3_600
"""A market may open at another time than it was to: nobody is sent away for longer."""


def check_terms(node: NodeState, order: PlaceOrder) -> None:
    """What is wrong with the order whoever sends it and whenever; raises `ProblemError`."""
    if not node.directory.ready:
        raise ProblemError("unavailable", "the list of symbols is not loaded yet")
    if node.directory.name_of(order.symbol) is None:
        raise ProblemError(
            "unknown-symbol", f"{order.symbol!r} is not traded here", symbols=[order.symbol]
        )
    if order.price_in_cents is None and order.time_in_force == "gtc":
        raise ProblemError("invalid-time-in-force", "a market order cannot be `gtc`")


def check_switch(node: NodeState, user_id: str, symbol: str) -> None:
    """Raises `ProblemError` while the kill switch stops such orders, or cannot be read."""
    switches = node.kill_switch.switches
    if switches is None:
        raise ProblemError("kill-switch", "the kill switch cannot be read; no order is taken blind")
    if switches.level(user_id, symbol) >= NO_NEW_ORDERS:
        raise ProblemError(
            "kill-switch", "an operator stopped new orders", retry_after_seconds=HALT_SECONDS
        )


async def last_tick(node: NodeState, symbol: str) -> Tick:
    """The tick with whose price everything about a new order is decided; raises `ProblemError`
    where no order of the symbol may be taken at this moment.
    """
    beat = node.hub.beat
    if beat is None:
        raise ProblemError("feed-stale", "the exchange's feed is silent; no order is taken blind")
    check_trading(beat.trading, symbol, time.time())
    try:
        tick = await node.last_prices.get(symbol)
    except BusUnavailable as error:
        raise ProblemError("unavailable", "the last price cannot be read now") from error
    if tick is None:
        raise ProblemError("no-price", f"{symbol} has not traded yet")
    return tick


def check_trading(trading: Trading, symbol: str, now_seconds: float) -> None:
    """Raises `ProblemError` while the market is closed or the symbol is halted."""
    if not trading.is_open:
        raise ProblemError(
            "market-closed",
            "the exchange takes no orders now",
            retry_after_seconds=_wait_seconds(trading.next_open_ms, now_seconds),
        )
    if symbol in trading.halted:
        raise ProblemError(
            "symbol-halted",
            f"trading in {symbol} is halted at the exchange",
            retry_after_seconds=HALT_SECONDS,
        )


def _wait_seconds(opens_ms: int | None, now_seconds: float) -> int:
    if opens_ms is None:
        return HALT_SECONDS
    return max(1, min(math.ceil(opens_ms / 1000 - now_seconds), CLOSED_SECONDS_MAX))
