"""Copies of the feed, as their processes run them."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx
from nats.js.errors import KeyWrongLastSequenceError

from brokerage.bus.beat import Beat, decode_beat, decode_resend
from brokerage.bus.connection import Bus, BusUnavailable, open_bus
from brokerage.bus.execution_log import ExecutionLog
from brokerage.bus.lease import Lease, LeaseTiming, ensure_leases
from brokerage.bus.market_facts import MarketFacts
from brokerage.bus.tick import EPOCH_SHIFT, version_of
from brokerage.contracts.subjects import FEED_BEAT, FEED_LEASE, FEED_RESEND, LEASES_BUCKET
from brokerage.storage.bar_writes import BarStore
from streaming.bar_writer import OpenBarStore
from streaming.feed import Feed
from streaming.forwarding import Forwarder
from tests.support.eventually import eventually
from tests.support.ports import free_port
from tests.support.running import Running, running

STEADY: Final = LeaseTiming(length_seconds=6.0)
"""For tests in which a machine that stands still for some seconds must not cost the lease."""
PATIENT: Final = LeaseTiming(length_seconds=60.0, attempt_seconds=30.0)
"""For tests in which nobody may get the lease by waiting for its end."""


@asynccontextmanager
async def no_postgres() -> AsyncIterator[BarStore]:
    """A Postgres that is waited for in vain: prices need none."""
    await asyncio.Event().wait()
    raise AssertionError("nobody sets that event")
    yield


@asynccontextmanager
async def following_feed(
    exchange_url: str,
    nats_url: str,
    settled_seq: int = 0,
    open_bar_store: OpenBarStore = no_postgres,
    timing: LeaseTiming | None = None,
) -> AsyncIterator[Feed]:
    """The only copy, from the moment on that it is live."""
    async with open_bus(nats_url, "test") as bus:
        await vacate(bus, FEED_LEASE)
    async with copy_of_feed(exchange_url, nats_url, settled_seq, open_bar_store, timing) as feed:
        await eventually(lambda: feed.live, "the feed is live")
        yield feed


@asynccontextmanager
async def copy_of_feed(
    exchange_url: str,
    nats_url: str,
    settled_seq: int = 0,
    open_bar_store: OpenBarStore = no_postgres,
    timing: LeaseTiming | None = None,
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
            Lease(bus, FEED_LEASE, secrets.token_hex(4), timing),
            lambda: Forwarder(ExecutionLog(bus), settled),
            open_bar_store,
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

    async def vacated() -> None:
        try:
            await ensure_leases(bus)
        except BusUnavailable as error:
            raise AssertionError(str(error)) from error
        with suppress(KeyWrongLastSequenceError):
            await (await bus.jetstream.key_value(LEASES_BUCKET)).create(key, b"")

    await eventually(vacated, "the lease is nobody's")


@dataclass
class FeedProcess:
    """A copy in a process of its own."""

    process: Running
    url: str

    async def health(self) -> tuple[int, str]:
        """The status of `/readyz`, and the role it tells; 0 where nobody answers."""
        async with httpx.AsyncClient(trust_env=False, timeout=2) as client:
            try:
                answer = await client.get(f"{self.url}/readyz")
            except httpx.HTTPError:
                return 0, ""
        return answer.status_code, answer.json().get("role", "")

    async def comes_to_be(self, role: str) -> None:
        """Return once it is ready in this role."""

        async def so() -> bool:
            return await self.health() == (200, role)

        await eventually(so, f"the feed is ready as {role}")

    async def metric(self, name: str) -> float:
        """The value of a metric without labels."""
        async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
            text = (await client.get(f"{self.url}/metrics")).text
        return next(
            float(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name} ")
        )

    async def shows(self, name: str, value: float) -> None:
        """Return once a metric without labels has this value."""

        async def so() -> bool:
            return await self.metric(name) == value

        await eventually(so, f"{name} is {value:g}")


@asynccontextmanager
async def feed_process(
    exchange_url: str, nats_url: str, log: Path, database_url: str | None = None
) -> AsyncIterator[FeedProcess]:
    """Run a copy as long as the block, from the moment on that it is ready.

    Without a Postgres it makes no bars, and prices all the same.
    """
    port = free_port()
    environment = {
        "SHERWOOD_ENVIRONMENT": "development",
        "SHERWOOD_EXCHANGE_URL": exchange_url,
        "SHERWOOD_NATS_URL": nats_url,
        "SHERWOOD_HEALTH_PORT": str(port),
        "SHERWOOD_DATABASE_URL": database_url
        or f"postgresql://nobody@127.0.0.1:{free_port()}/none",
    }
    url = f"http://127.0.0.1:{port}"
    async with running(
        "workers.feed", environment=environment, ready_url=f"{url}/readyz", log=log
    ) as process:
        yield FeedProcess(process, url)


@dataclass
class Published:
    """What the feed said, in order: beats, and (subject, version) of the ticks.

    `resends` are the requests for all of it, each with the epoch that the asker knew.
    """

    beats: list[Beat] = field(default_factory=list)
    resends: list[int] = field(default_factory=list)
    ticks: list[tuple[str, int]] = field(default_factory=list)

    @property
    def epoch(self) -> int:
        """The newest epoch of a beat."""
        return max((beat.epoch for beat in self.beats), default=0)

    def is_past(self, epoch: int) -> bool:
        """True once a beat of a newer epoch was heard."""
        return self.epoch > epoch

    def epochs_of_ticks(self, start: int = 0) -> set[int]:
        """The epochs of the ticks from number `start` on."""
        return {v >> EPOCH_SHIFT for _, v in self.ticks[start:]}


async def listen_to_feed(bus: Bus) -> Published:
    """Note all that is said from now on."""
    published = Published()

    async def beat(subject: str, payload: bytes) -> None:
        published.beats.append(decode_beat(payload))

    async def tick(subject: str, payload: bytes) -> None:
        published.ticks.append((subject, version_of(payload)))

    async def resend(subject: str, payload: bytes) -> None:
        published.resends.append(decode_resend(payload).epoch)

    await bus.subscribe(FEED_BEAT, beat)
    await bus.subscribe(FEED_RESEND, resend)
    await bus.subscribe("prices.*", tick)
    await bus.flush()
    return published
