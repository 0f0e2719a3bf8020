"""The gateway process: the only one that talks to the exchange's order API."""

import time
from contextlib import AsyncExitStack

from brokerage.bus.connection import open_bus
from brokerage.gateway.batching import PlacementBatcher
from brokerage.gateway.exchange import open_exchange
from brokerage.gateway.service import GatewayService
from brokerage.runtime.process import Process, run
from brokerage.runtime.settings import Settings
from workers.opening import StoppedEarly, enter


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


async def serve(process: Process, settings: Settings) -> None:
    """Open what the gateway needs, serve until told to stop, close in the opposite order."""
    async with AsyncExitStack() as stack:
        exchange = await stack.enter_async_context(
            open_exchange(settings.exchange_url, settings.exchange_member)
        )
        try:
            bus = await enter(stack, process.stopping, open_bus(settings.nats_url, process.name))
        except StoppedEarly:
            return
        service = GatewayService(bus, exchange, PlacementBatcher(exchange.place, _now_ms))
        await service.serve(process.stopping, process.mark_ready, process.fail)


def main() -> None:
    """Run the process."""
    run("gateway", Settings(), serve)


if __name__ == "__main__":
    main()
