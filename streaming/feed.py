"""The feed as a process sees it: stand by, own the exchange's feed by lease, stand by again."""

import asyncio
from collections.abc import Callable
from typing import Literal

import msgspec
import structlog

from brokerage.bus.beat import Resend, decode_beat, decode_resend
from brokerage.bus.connection import Bus
from brokerage.bus.lease import Lease
from brokerage.bus.market_facts import MarketFacts
from brokerage.contracts.subjects import FEED_BEAT, FEED_RESEND
from streaming import feed_metrics
from streaming.bar_writer import OpenBarStore
from streaming.forwarding import Forwarder
from streaming.owning import FeedTerm

log = structlog.get_logger()

Role = Literal["owner", "standby"]


class Feed:
    """Connects to the exchange only as the lease's owner: each connection costs money.

    `run` ends by cancellation only, and then gives the lease back.
    """

    def __init__(
        self,
        exchange_url: str,
        member: str,
        bus: Bus,
        facts: MarketFacts,
        lease: Lease,
        new_forwarder: Callable[[], Forwarder],
        open_bar_store: OpenBarStore,
    ) -> None:
        self._exchange_url = exchange_url
        self._member = member
        self._bus = bus
        self._facts = facts
        self._lease = lease
        self._new_forwarder = new_forwarder
        self._open_bar_store = open_bar_store
        self._term: FeedTerm | None = None
        self._epoch_known = 0

    @property
    def role(self) -> Role:
        """What this process is now."""
        return "standby" if self._term is None else "owner"

    @property
    def live(self) -> bool:
        """True while this process owns the feed and has heard the exchange lately."""
        return self._term is not None and self._term.live

    @property
    def ready(self) -> bool:
        """True for an owner that is live, for a standby that watches an owner, and in between."""
        return self.live or self._lease.watched

    async def run(self) -> None:
        """Stand by, own, and so on for ever."""
        self._bus.on_reconnect(self._bus_came_back)
        feed_metrics.AGE.set_function(self._heard_seconds_ago)
        await self._bus.subscribe(FEED_BEAT, self._hear_beat)
        await self._bus.subscribe(FEED_RESEND, self._hear_resend)
        while True:
            await self._lease.acquire()
            feed_metrics.TAKEOVERS.inc()
            feed_metrics.OWNER.set(1)
            try:
                await self._own()
            finally:
                feed_metrics.OWNER.set(0)
                await self._lease.release()
            feed_metrics.LOST.inc()
            # What this process wrote when it was the owner, and what only now left its buffers,
            # has reached NATS before this: whoever is the owner now replaces it.
            epoch = msgspec.json.encode(Resend(self._epoch_known))
            await self._bus.notify(FEED_RESEND, epoch)

    async def _own(self) -> None:
        """Be the owner until the lease is lost; on return nothing of the term runs any more."""
        self._term = FeedTerm(
            self._exchange_url,
            self._member,
            self._bus,
            self._facts,
            self._new_forwarder(),
            self._open_bar_store,
            lambda: self._lease.held,
            self._epoch_known,
        )
        try:
            async with asyncio.TaskGroup() as tasks:
                term = tasks.create_task(self._term.run())
                await self._lease.keep()
                term.cancel()
        finally:
            self._epoch_known = max(self._epoch_known, self._term.epoch)
            self._term = None

    def _heard_seconds_ago(self) -> float:
        return 0.0 if self._term is None else self._term.heard_seconds_ago

    async def _bus_came_back(self) -> None:
        if self._term is not None:
            self._term.bus_came_back()

    async def _hear_beat(self, subject: str, payload: bytes) -> None:
        # The owner's own beats too: what was heard is what readers know.
        try:
            epoch = decode_beat(payload).epoch
        except msgspec.DecodeError as error:
            log.warning("beat_unreadable", error=str(error))
            return
        self._epoch_known = max(self._epoch_known, epoch)

    async def _hear_resend(self, subject: str, payload: bytes) -> None:
        try:
            epoch = decode_resend(payload).epoch
        except msgspec.DecodeError as error:
            log.warning("resend_unreadable", error=str(error))
            return
        if self._term is None:
            self._epoch_known = max(self._epoch_known, epoch)
        elif self._lease.held:
            self._term.resend(epoch)
