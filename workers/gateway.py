"""The gateway process: the only one that talks to the exchange's order API."""

import socket
import time
from contextlib import AsyncExitStack
from functools import partial

from brokerage.bus.connection import open_bus
from brokerage.bus.egress import open_entries
from brokerage.bus.kill_switch import open_kill_switch
from brokerage.gateway.batching import PlacementBatcher
from brokerage.gateway.egress import SETTLED_SECONDS, Egress, tripping
from brokerage.gateway.exchange import open_exchange
from brokerage.gateway.guard import Guard
from brokerage.gateway.mass_cancel import MassCancels
from brokerage.gateway.service import GatewayService
from brokerage.gateway.simulations import Simulations
from brokerage.gateway.statements import Statements
from brokerage.runtime.process import Process, run
from brokerage.runtime.settings import Settings
from brokerage.runtime.tasks import TaskSet
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
            kill_switch = await enter(stack, process.stopping, open_kill_switch(bus))
            entries = await enter(stack, process.stopping, open_entries(bus))
        except StoppedEarly:
            return
        batcher = PlacementBatcher(
            exchange.place,
            _now_ms,
            forbidden=Guard(kill_switch).forbidden,
            egress=Egress(
                entries,
                tripping(bus, socket.gethostname()),
                partial(bus.has_settled, SETTLED_SECONDS),
            ),
        )
        tasks = await stack.enter_async_context(TaskSet(process.fail))
        tasks.spawn(MassCancels(kill_switch, exchange).run(), "mass-cancels")
        service = GatewayService(bus, exchange, batcher)
        await stack.enter_async_context(Statements(bus, exchange).serving())
        if settings.environment == "development":
            simulations = Simulations(bus, exchange, settings.exchange_member)
            await stack.enter_async_context(simulations.serving())
        await service.serve(process.stopping, process.mark_ready, process.fail)


def main() -> None:
    """Run the process."""
    run("gateway", Settings(), serve)


if __name__ == "__main__":
    main()
