"""One node's fan-out: a subscription a symbol, shared by all viewers of it on this node."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Final

import msgspec
import structlog

from brokerage.bus.connection import Bus, BusSubscription, BusUnavailable
from brokerage.bus.last_price import LastPrices
from brokerage.bus.tick import untraded, version_of
from brokerage.contracts.subjects import FEED_BEAT, price_subject
from brokerage.runtime.tasks import TaskSet
from streaming import hub_metrics
from streaming.mailbox import Mailbox

log = structlog.get_logger()

LINGER_SECONDS: Final = 30.0
"""A symbol without viewers is still followed for this long: pages are changed and reloaded."""
STALE_SECONDS: Final = 5.0
WATCH_SECONDS: Final = 0.25
CONFIRM_SECONDS: Final = 0.5
"""The server stores a tick a little after it hands it out: one that was neither in the snapshot
nor after the subscription is found by reading once more after this time."""


class Topic:
    """One symbol on this node: the newest tick, and who wants it."""

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.viewers: set[Mailbox] = set()
        self.fragment = untraded(symbol)
        self.v = -1
        self.subscription: BusSubscription | None = None
        self.linger: asyncio.TimerHandle | None = None

    def offer(self, fragment: bytes) -> None:
        """Take the tick if it is newer than what is here, and put it into every mailbox."""
        try:
            v = version_of(fragment)
        except msgspec.DecodeError as error:
            log.warning("tick_unreadable", symbol=self.symbol, error=str(error))
            return
        if v <= self.v:
            return
        self.v = v
        self.fragment = fragment
        for mailbox in self.viewers:
            mailbox.put(self.symbol, fragment)

    async def hear(self, subject: str, payload: bytes) -> None:
        """Take what comes over the bus."""
        self.offer(payload)


class Hub:
    """Opened and closed by `open_hub`."""

    def __init__(
        self,
        bus: Bus,
        last_prices: LastPrices,
        tasks: TaskSet,
        linger_seconds: float = LINGER_SECONDS,
        stale_seconds: float = STALE_SECONDS,
    ) -> None:
        self._bus = bus
        self._last_prices = last_prices
        self._tasks = tasks
        self._linger_seconds = linger_seconds
        self._stale_seconds = stale_seconds
        self._topics: dict[str, Topic] = {}
        self._viewers: set[Mailbox] = set()
        self._opening = asyncio.Lock()
        self._beat_at: float | None = None
        self._live = False
        self._stops: set[asyncio.Event] = set()

    @property
    def feed_is_live(self) -> bool:
        """True while the feed's beat was heard within the last five seconds."""
        beat_at = self._beat_at
        return beat_at is not None and time.monotonic() - beat_at < self._stale_seconds

    @property
    def symbols(self) -> set[str]:
        """The symbols this node follows now."""
        return set(self._topics)

    @property
    def viewers(self) -> int:
        """How many streams are open."""
        return len(self._viewers)

    @asynccontextmanager
    async def viewer(self, symbols: Sequence[str]) -> AsyncIterator[Mailbox]:
        """A mailbox that holds the last tick of each of `symbols`, then gets every newer one.

        Raises `BusUnavailable` if a symbol is not followed yet and NATS does not answer.
        """
        while missing := [symbol for symbol in symbols if symbol not in self._topics]:
            await self._open(missing)
        # From here to the registration nothing is awaited: no tick comes in between.
        topics = [self._topics[symbol] for symbol in symbols]
        mailbox = Mailbox({topic.symbol: topic.fragment for topic in topics}, self._live)
        self._viewers.add(mailbox)
        for topic in topics:
            topic.viewers.add(mailbox)
            if topic.linger is not None:
                topic.linger.cancel()
                topic.linger = None
        hub_metrics.VIEWERS.set(len(self._viewers))
        try:
            yield mailbox
        finally:
            self._viewers.discard(mailbox)
            hub_metrics.VIEWERS.set(len(self._viewers))
            for topic in topics:
                topic.viewers.discard(mailbox)
                self._let_linger(topic)

    def close_viewers(self) -> None:
        """End every stream of this node."""
        for mailbox in self._viewers:
            mailbox.close()

    def end_with(self, stopping: asyncio.Event) -> None:
        """End every stream when `stopping` is set; telling it twice is telling it once."""
        if stopping not in self._stops:
            self._stops.add(stopping)
            self._tasks.spawn(self._end_with(stopping), "hub-stop")

    async def start(self) -> None:
        """Begin to listen for the feed's beat."""
        await self._bus.subscribe(FEED_BEAT, self._beat)
        self._bus.on_reconnect(self._reread_later)
        self._tasks.spawn(self._watch_beat(), "hub-beat")

    async def _end_with(self, stopping: asyncio.Event) -> None:
        await stopping.wait()
        self.close_viewers()

    async def _open(self, symbols: Sequence[str]) -> None:
        # One at a time: two viewers that want the same new symbol must not both subscribe.
        async with self._opening:
            topics = [Topic(symbol) for symbol in symbols if symbol not in self._topics]
            try:
                # Subscribe before reading: the other order loses the ticks in between.
                for topic in topics:
                    subject = price_subject(topic.symbol)
                    topic.subscription = await self._bus.subscribe(subject, topic.hear)
                if topics:
                    await self._bus.flush()
                    await self._read(topics)
            except BaseException:
                for topic in topics:
                    if topic.subscription is not None:
                        await topic.subscription.close()
                raise
            for topic in topics:
                self._topics[topic.symbol] = topic
                self._let_linger(topic)
            hub_metrics.SYMBOLS.set(len(self._topics))
        if topics:
            self._tasks.spawn(self._confirm(topics), "hub-confirm")

    async def _read(self, topics: Iterable[Topic]) -> None:
        wanted = {topic.symbol: topic for topic in topics}
        for symbol, fragment in (await self._last_prices.fragments(list(wanted))).items():
            wanted[symbol].offer(fragment)

    async def _confirm(self, topics: list[Topic]) -> None:
        await asyncio.sleep(CONFIRM_SECONDS)
        try:
            await self._read(topics)
        except BusUnavailable as error:
            # The reconnection rereads everything; the feed's repair round does in any case.
            log.warning("snapshot_not_confirmed", error=str(error))

    def _let_linger(self, topic: Topic) -> None:
        if topic.viewers or topic.linger is not None or self._topics.get(topic.symbol) != topic:
            return
        loop = asyncio.get_running_loop()
        topic.linger = loop.call_later(self._linger_seconds, self._drop, topic)

    def _drop(self, topic: Topic) -> None:
        topic.linger = None
        del self._topics[topic.symbol]
        hub_metrics.SYMBOLS.set(len(self._topics))
        if topic.subscription is not None:
            self._tasks.spawn(topic.subscription.close(), "hub-unsubscribe")

    async def _reread_later(self) -> None:
        # Not awaited here: the connection waits for this callback before it goes on.
        self._tasks.spawn(self._reread(), "hub-reread")

    async def _reread(self) -> None:
        while self._topics and self._bus.connected:
            try:
                await self._read(list(self._topics.values()))
            except BusUnavailable as error:
                log.warning("snapshot_not_reread", error=str(error))
                await asyncio.sleep(CONFIRM_SECONDS)
            else:
                return

    async def _beat(self, subject: str, payload: bytes) -> None:
        self._beat_at = time.monotonic()
        self._tell_live()

    async def _watch_beat(self) -> None:
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            self._tell_live()

    def _tell_live(self) -> None:
        live = self.feed_is_live
        if live == self._live:
            return
        self._live = live
        hub_metrics.LIVE.set(int(live))
        log.info("prices_live" if live else "prices_stale", viewers=len(self._viewers))
        for mailbox in self._viewers:
            mailbox.set_live(live)


@asynccontextmanager
async def open_hub(
    bus: Bus,
    last_prices: LastPrices,
    linger_seconds: float = LINGER_SECONDS,
    stale_seconds: float = STALE_SECONDS,
) -> AsyncIterator[Hub]:
    """A hub as long as the block; at its end every stream ends."""
    async with TaskSet() as tasks:
        hub = Hub(bus, last_prices, tasks, linger_seconds, stale_seconds)
        await hub.start()
        try:
            yield hub
        finally:
            hub.close_viewers()
