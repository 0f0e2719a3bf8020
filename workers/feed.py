"""The process `feed`: of all its copies one, by lease, has the only connection to the exchange's
feed; the others stand by.

Start it with `python -m workers.feed`.
"""

import os
import secrets
import socket
from functools import partial

from brokerage.bus.connection import open_bus
from brokerage.bus.execution_log import ExecutionLog
from brokerage.bus.lease import Lease
from brokerage.bus.market_facts import MarketFacts
from brokerage.contracts.subjects import FEED_LEASE
from brokerage.runtime.process import Process, run
from brokerage.runtime.settings import Settings
from brokerage.runtime.tasks import TaskSet
from brokerage.storage.bar_writes import open_bar_store
from brokerage.storage.pool import open_pool
from brokerage.storage.reads import settled_feed_seq
from streaming import feed_metrics
from streaming.feed import Feed
from streaming.forwarding import Forwarder, SettledUnknown


async def serve(process: Process, settings: Settings) -> None:
    """Follow the feed until the process is asked to stop."""
    async with TaskSet(process.fail) as tasks:
        # In the background, so that a stop is heard while NATS is still being waited for.
        tasks.spawn(_follow(process, settings), "feed")
        await process.stopping.wait()


async def _follow(process: Process, settings: Settings) -> None:
    async def settled_seq() -> int:
        # Asked for only when the executions' stream is empty: prices need no Postgres.
        try:
            async with open_pool(settings) as pool:
                return await settled_feed_seq(pool)
        except Exception as error:
            raise SettledUnknown(repr(error)) from error

    async with open_bus(settings.nats_url, "feed") as bus:
        # A holder is one run of the process: one that was restarted is another.
        holder = f"{socket.gethostname()}.{os.getpid()}.{secrets.token_hex(4)}"
        lease = Lease(bus, FEED_LEASE, holder, on_renewal_failed=feed_metrics.RENEWALS_FAILED.inc)
        feed = Feed(
            settings.exchange_url,
            settings.exchange_member,
            bus,
            MarketFacts(bus),
            lease,
            lambda: Forwarder(ExecutionLog(bus), settled_seq),
            partial(open_bar_store, settings),
        )
        process.role = lambda: feed.role
        process.ready_once(lambda: feed.ready)
        await feed.run()


if __name__ == "__main__":
    run("feed", Settings(), serve)
