"""What a node knows of the feed: whether it is heard, and which of its epochs counts."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

import msgspec
import structlog

from brokerage.bus.beat import Beat, Resend, decode_beat
from brokerage.bus.connection import Bus
from brokerage.bus.tick import EPOCH_SHIFT
from brokerage.contracts.subjects import FEED_BEAT, FEED_RESEND
from brokerage.runtime.tasks import TaskSet
from streaming import hub_metrics

log = structlog.get_logger()

WATCH_SECONDS: Final = 0.25


class Pulse:
    """Listens to the feed's beat; `on_live` is called when it is heard again, or no more.

    `since_connect` is true once a beat was heard after the link to NATS was made last: the feed
    publishes every symbol before it, so what NATS does not have then never traded.
    """

    def __init__(
        self, bus: Bus, tasks: TaskSet, stale_seconds: float, on_live: Callable[[bool], None]
    ) -> None:
        self._bus = bus
        self._tasks = tasks
        self._stale_seconds = stale_seconds
        self._on_live = on_live
        self._beat: Beat | None = None
        self._beat_at = float("-inf")
        self._epoch = 0
        self._told_live = False
        self.since_connect = False

    @property
    def live(self) -> bool:
        """True while the beat was heard within the last `stale_seconds`."""
        return time.monotonic() - self._beat_at < self._stale_seconds

    @property
    def beat(self) -> Beat | None:
        """The newest beat; None while the feed is not live, for then nobody knows what holds."""
        return self._beat if self.live else None

    @property
    def v_min(self) -> int:
        """The least version a tick may have: what an owner of the feed says that is none any more
        is refused.
        """
        return self._epoch << EPOCH_SHIFT

    async def start(self) -> None:
        """Begin to listen."""
        await self._bus.listen(FEED_BEAT, self._hear)
        self._bus.on_reconnect(self._connected_again)
        self._tasks.spawn(self._watch(), "feed-pulse")

    async def _connected_again(self) -> None:
        self.since_connect = False

    def _hear(self, payload: bytes) -> None:
        try:
            beat = decode_beat(payload)
        except msgspec.DecodeError as error:
            log.warning("beat_unreadable", error=str(error))
            return
        epoch = beat.epoch
        if epoch < self._epoch:
            hub_metrics.FENCED.inc()
            # Of a feed that was replaced it means nothing. Should the counter of epochs have been
            # lost, the feed claims a newer one when it hears this.
            resend = msgspec.json.encode(Resend(self._epoch))
            self._tasks.spawn(self._bus.notify(FEED_RESEND, resend), "ask-to-resend")
            return
        self._epoch = epoch
        hub_metrics.EPOCH.set(epoch)
        self._beat, self._beat_at = beat, time.monotonic()
        self.since_connect = True
        self._tell()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            self._tell()

    def _tell(self) -> None:
        live = self.live
        if live == self._told_live:
            return
        self._told_live = live
        hub_metrics.LIVE.set(int(live))
        log.info("prices_live" if live else "prices_stale")
        self._on_live(live)
