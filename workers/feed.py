"""The process `feed`: the only connection to the exchange's feed.

Start it with `python -m workers.feed`.
"""

from brokerage.bus.connection import open_bus
from brokerage.bus.execution_log import ExecutionLog
from brokerage.bus.market_facts import MarketFacts
from brokerage.runtime.process import Process, run
from brokerage.runtime.settings import Settings
from brokerage.runtime.tasks import TaskSet
from brokerage.storage.pool import open_pool
from brokerage.storage.reads import settled_feed_seq
from streaming.feed import Feed
from streaming.forwarding import Forwarder, SettledUnknown


async def serve(process: Process, settings: Settings) -> None:
    """Follow the feed until the process is asked to stop."""
    async with TaskSet(process.fail) as tasks:
        # In the background, so that a stop is heard while NATS is still being waited for.
        tasks.spawn(_follow(process, settings), "feed")
        await process.stopping.wait()


async def _follow(process: Process, settings: Settings) -> None:
    def live() -> None:
        if not process.ready and not process.stopping.is_set():
            process.mark_ready()

    async def settled_seq() -> int:
        # Asked for only when the executions' stream is empty: prices need no Postgres.
        try:
            async with open_pool(settings) as pool:
                return await settled_feed_seq(pool)
        except Exception as error:
            raise SettledUnknown(repr(error)) from error

    async with open_bus(settings.nats_url, "feed") as bus:
        await Feed(
            settings.exchange_url,
            settings.exchange_member,
            bus,
            MarketFacts(bus),
            Forwarder(ExecutionLog(bus), settled_seq),
            live,
        ).run()


if __name__ == "__main__":
    run("feed", Settings(), serve)
