"""The last prices, for answers that are worth giving without them."""

from collections.abc import Sequence

import structlog

from api.node import NodeState
from brokerage.bus.connection import BusUnavailable
from brokerage.bus.tick import Tick, decode_tick

log = structlog.get_logger()


async def live_ticks(node: NodeState, symbols: Sequence[str]) -> dict[str, Tick]:
    """Ticks by symbol; those that never traded are missing, and all while the bus is away."""
    if not symbols or not node.has("last_prices"):
        return {}
    try:
        fragments = await node.last_prices.fragments(symbols)
    except BusUnavailable as error:
        log.warning("answer_without_prices", error=str(error))
        return {}
    return {symbol: decode_tick(fragment) for symbol, fragment in fragments.items()}


async def live_prices(node: NodeState, symbols: Sequence[str]) -> dict[str, int]:
    """The same in cents alone."""
    return {symbol: tick.price_cents for symbol, tick in (await live_ticks(node, symbols)).items()}
