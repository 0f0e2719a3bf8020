"""May this order be taken now? What is refused here is never remembered against a key."""

from api.errors import ProblemError
from api.node import NodeState
from api.schemas import PlaceOrder
from brokerage.bus.connection import BusUnavailable


def check_terms(node: NodeState, order: PlaceOrder) -> None:
    """What is wrong with the order whoever sends it and whenever; raises `ProblemError`."""
    if not node.directory.ready:
        raise ProblemError("unavailable", "the list of symbols is not loaded yet")
    if node.directory.name_of(order.symbol) is None:
        raise ProblemError("unknown-symbol", f"{order.symbol!r} is not traded here")
    if order.price_in_cents is None and order.time_in_force == "gtc":
        raise ProblemError("invalid-time-in-force", "a market order cannot be `gtc`")


async def last_price_cents(node: NodeState, symbol: str) -> int:
    """The price everything about a new order is decided with; raises `ProblemError` where no order
    of the symbol may be taken at this moment.
    """
    if not node.hub.feed_is_live:
        raise ProblemError("feed-stale", "the exchange's feed is silent; no order is taken blind")
    try:
        tick = await node.last_prices.get(symbol)
    except BusUnavailable as error:
        raise ProblemError("unavailable", "the last price cannot be read now") from error
    if tick is None:
        raise ProblemError("no-price", f"{symbol} has not traded yet")
    return tick.price_cents
