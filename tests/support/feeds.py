"""Copies of the feed, as their processes run them."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from nats.js.errors import KeyWrongLastSequenceError

from brokerage.bus.connection import Bus, open_bus
from brokerage.bus.execution_log import ExecutionLog
from brokerage.bus.lease import Lease, ensure_leases
from brokerage.bus.market_facts import MarketFacts
from brokerage.contracts.subjects import FEED_LEASE, LEASES_BUCKET
from streaming.feed import Feed
from streaming.forwarding import Forwarder
from tests.support.eventually import eventually


@asynccontextmanager
async def following_feed(
    exchange_url: str, nats_url: str, settled_seq: int = 0
) -> AsyncIterator[Feed]:
    """The only copy, from the moment on that it is live."""
    async with open_bus(nats_url, "test") as bus:
        await vacate(bus, FEED_LEASE)
    async with copy_of_feed(exchange_url, nats_url, settled_seq) as feed:
        await eventually(lambda: feed.live, "the feed is live")
        yield feed


@asynccontextmanager
async def copy_of_feed(
    exchange_url: str, nats_url: str, settled_seq: int = 0
) -> AsyncIterator[Feed]:
    """One copy; whether it owns the feed or stands by is for the lease to say."""

    async def settled() -> int:
        return settled_seq

    async with open_bus(nats_url, "feed") as bus, asyncio.TaskGroup() as tasks:
        feed = Feed(
            exchange_url,
            "sherwood",
            bus,
            MarketFacts(bus),
            Lease(bus, FEED_LEASE, secrets.token_hex(4)),
            lambda: Forwarder(ExecutionLog(bus), settled),
        )
        run = tasks.create_task(feed.run())
        try:
            yield feed
        finally:
            run.cancel()


async def vacate(bus: Bus, key: str) -> None:
    """Make a new store say that the lease was given back.

    It would be waited for otherwise: a store that says nothing may have forgotten an owner.
    """
    await ensure_leases(bus)
    with suppress(KeyWrongLastSequenceError):
        await (await bus.jetstream.key_value(LEASES_BUCKET)).create(key, b"")
