"""What an API node knows of the market, opened and closed together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from brokerage.bus.connection import Bus
from brokerage.bus.last_price import LastPrices
from brokerage.bus.stream_control import StreamControl, open_stream_control
from streaming.directory import Directory, open_directory
from streaming.hub import TERMS, Hub, Terms, open_hub


@dataclass(frozen=True, slots=True)
class Market:
    """Live prices, the directory, reads of the last price, and changes of any node's streams."""

    hub: Hub
    directory: Directory
    last_prices: LastPrices
    stream_control: StreamControl


@asynccontextmanager
async def open_market(bus: Bus, terms: Terms = TERMS) -> AsyncIterator[Market]:
    """All of it as long as the block; raises `BusUnavailable` without a link to NATS."""
    last_prices = LastPrices(bus)
    async with (
        open_directory(bus) as directory,
        open_hub(bus, last_prices, terms) as hub,
        open_stream_control(bus, hub.node_id, hub) as stream_control,
    ):
        # The hub hears who the feed is now; what an earlier one left is no price to trade on.
        last_prices.v_min = lambda: hub.v_min
        yield Market(hub, directory, last_prices, stream_control)
