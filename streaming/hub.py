"""One node's fan-out: a subscription a symbol, shared by all viewers of it on this node."""

import asyncio
import random
import secrets
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

import msgspec
import structlog

from brokerage.bus.beat import Resend, decode_beat
from brokerage.bus.connection import Bus, BusUnavailable
from brokerage.bus.last_price import LastPrices
from brokerage.bus.tick import EPOCH_SHIFT
from brokerage.contracts.subjects import FEED_BEAT, FEED_RESEND, price_subject
from brokerage.runtime.tasks import TaskSet
from streaming import hub_metrics
from streaming.flusher import Flusher
from streaming.viewers import Send, State, Topic, Viewer, WatchList

log = structlog.get_logger()

WATCH_SECONDS: Final = 0.25
CONFIRM_SECONDS: Final = 0.5
"""The server stores a tick a little after it hands it out: one that was neither in the snapshot
nor after the subscription is found by reading once more after this time."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How streams are kept; in seconds.

    `linger`: a symbol without viewers is still followed for this long, since pages are changed and
    reloaded. `stale`: silence of the feed after which viewers are told. `stalled_max`: a client
    that takes nothing for this long is gone, or as good as. `lifetime`: a stream ends after a time
    from this range, so that viewers spread over new nodes.
    """

    linger_seconds: float = 30.0
    stale_seconds: float = 5.0
    heartbeat_seconds: float = 15.0
    stalled_seconds_max: float = 30.0
    lifetime_seconds: tuple[float, float] = (720.0, 1_080.0)


TERMS: Final = Terms()


class Hub:
    """Opened and closed by `open_hub`. `node_id` is the part of a stream's id that names us."""

    def __init__(self, bus: Bus, last_prices: LastPrices, tasks: TaskSet, terms: Terms) -> None:
        self.node_id: Final = secrets.token_hex(5)
        self.terms: Final = terms
        self._bus = bus
        self._last_prices = last_prices
        self._tasks = tasks
        self._flusher = Flusher(
            tasks,
            heartbeat_seconds=terms.heartbeat_seconds,
            stalled_seconds_max=terms.stalled_seconds_max,
        )
        self._topics: dict[str, Topic] = {}
        self._opening = asyncio.Lock()
        self._wanted: set[str] = set()
        self._beat_at: float | None = None
        self._epoch = 0
        self._beat_since_connect = False
        self._stops: set[asyncio.Event] = set()

    @property
    def feed_is_live(self) -> bool:
        """True while the feed's beat was heard within the last five seconds."""
        beat_at = self._beat_at
        return beat_at is not None and time.monotonic() - beat_at < self.terms.stale_seconds

    @property
    def symbols(self) -> set[str]:
        """The symbols this node follows now."""
        return set(self._topics)

    @property
    def viewers(self) -> int:
        """How many streams are open."""
        return len(self._flusher.viewers)

    @property
    def v_min(self) -> int:
        """The least version a tick may have: what an owner of the feed says that is none any more
        is refused.
        """
        return self._epoch << EPOCH_SHIFT

    async def join(self, user_id: str, symbols: Sequence[str]) -> Viewer:
        """A viewer of `symbols` that is not written to before `begin`; `leave` must follow.

        Raises `BusUnavailable` if a symbol is not followed yet and NATS does not answer, or does
        not have its last price back.
        """
        topics = await self._follow(symbols)
        viewer = Viewer(
            f"{self.node_id}.{secrets.token_hex(12)}",
            user_id,
            self._list_of(topics),
            time.monotonic() + random.uniform(*self.terms.lifetime_seconds),
        )
        viewer.watch_list.viewers.add(viewer)
        self._flusher.viewers[viewer.stream_id] = viewer
        hub_metrics.VIEWERS.set(self.viewers)
        return viewer

    def begin(self, viewer: Viewer, send: Send, head: bytes) -> None:
        """Write `head` and the snapshot, then every change, by `send`, until the stream ends.

        The task that calls this is cancelled where the stream cannot be ended in another way.
        """
        viewer.send = send
        viewer.task = asyncio.current_task()
        self._flusher.open(viewer, head)

    async def change(self, stream_id: str, user_id: str, symbols: Sequence[str]) -> bool:
        """Let a stream show `symbols` instead of what it shows; False if the user has none of this
        id here. `brokerage.bus.stream_control` sees to it that changes of one stream take turns.

        Raises `BusUnavailable` as `join` does; nothing has changed then.
        """
        viewer = self._flusher.viewers.get(stream_id)
        if viewer is None or viewer.user_id != user_id or viewer.ended:
            return False
        topics = await self._follow(symbols)
        if viewer.ended:
            return False
        self._move(viewer, topics)
        return True

    def leave(self, viewer: Viewer) -> None:
        """Forget a viewer whose stream has ended."""
        viewer.state = State.ENDED
        if self._flusher.viewers.pop(viewer.stream_id, None) is None:
            return
        if viewer.waiting is not None:
            viewer.waiting.cancel()
        self._drop_from_list(viewer)
        hub_metrics.VIEWERS.set(self.viewers)

    def end_streams(self) -> None:
        """End every stream of this node."""
        for viewer in list(self._flusher.viewers.values()):
            self._flusher.end(viewer)

    def end_with(self, stopping: asyncio.Event) -> None:
        """End every stream when `stopping` is set; telling it twice is telling it once."""
        if stopping not in self._stops:
            self._stops.add(stopping)
            self._tasks.spawn(self._end_with(stopping), "hub-stop")

    async def start(self) -> None:
        """Begin to listen for the feed's beat, and to write."""
        await self._bus.listen(FEED_BEAT, self._beat)
        self._bus.on_reconnect(self._reread_later)
        self._tasks.spawn(self._watch_beat(), "hub-beat")
        self._tasks.spawn(self._flusher.run(), "hub-flush")
        self._tasks.spawn(self._flusher.keep(), "hub-keep")

    async def _end_with(self, stopping: asyncio.Event) -> None:
        await stopping.wait()
        self.end_streams()

    def _hear(self, topic: Topic, fragment: bytes) -> None:
        if topic.take(fragment, self._epoch << EPOCH_SHIFT):
            self._flusher.changed(topic)

    def _list_of(self, topics: Sequence[Topic]) -> WatchList:
        key = frozenset(topics)
        watch_list = self._flusher.lists.get(key)
        if watch_list is None:
            watch_list = WatchList(topics)
            self._flusher.lists[key] = watch_list
            for topic in key:
                topic.lists.add(watch_list)
                if topic.linger is not None:
                    topic.linger.cancel()
                    topic.linger = None
        return watch_list

    def _drop_from_list(self, viewer: Viewer) -> None:
        watch_list = viewer.watch_list
        watch_list.viewers.discard(viewer)
        if watch_list.viewers:
            return
        del self._flusher.lists[watch_list.topics]
        for topic in watch_list.topics:
            topic.lists.discard(watch_list)
            self._let_linger(topic)

    def _move(self, viewer: Viewer, topics: Sequence[Topic]) -> None:
        before = viewer.watch_list
        after = self._list_of(topics)
        if after is before:
            return
        kept = before.topics & after.topics
        viewer.owed = (after.topics - before.topics) | (viewer.owed & kept)
        after.viewers.add(viewer)
        self._drop_from_list(viewer)
        viewer.watch_list = after
        if viewer.state is State.READING:
            self._flusher.catch_up(viewer)

    async def _follow(self, symbols: Sequence[str]) -> list[Topic]:
        """The topics of `symbols`, each of which has its last tick by now."""
        while missing := [symbol for symbol in symbols if symbol not in self._topics]:
            await self._open(missing)
        return [self._topics[symbol] for symbol in symbols]

    async def _open(self, symbols: Sequence[str]) -> None:
        self._wanted.update(symbols)
        # One at a time: two viewers that want the same new symbol must not both subscribe. Whoever
        # has the turn opens what all the others wait for: one question instead of a crowd's.
        async with self._opening:
            self._wanted.update(symbols)
            topics = [Topic(symbol) for symbol in self._wanted if symbol not in self._topics]
            self._wanted.clear()
            try:
                # Subscribe before reading: the other order loses the ticks in between.
                for topic in topics:
                    subject = price_subject(topic.symbol)
                    topic.subscription = await self._bus.listen(subject, partial(self._hear, topic))
                if topics:
                    await self._bus.flush()
                    self._check_known(topics, await self._read(topics))
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

    async def _read(self, topics: Iterable[Topic]) -> set[str]:
        """Take the last values of `topics`; returns the symbols that have one."""
        wanted = {topic.symbol: topic for topic in topics}
        found = await self._last_prices.fragments(list(wanted))
        for symbol, fragment in found.items():
            self._hear(wanted[symbol], fragment)
        return set(found)

    def _check_known(self, topics: Iterable[Topic], found: set[str]) -> None:
        """Raise `BusUnavailable` if one of them looks as if it had never traded, and may have.

        NATS loses the last values with its memory. The feed publishes all of them again before its
        next beat, so a symbol that has none after that beat has none. A value that is there and was
        not taken is of an owner that is none any more: the next one's is on its way.
        """
        for topic in topics:
            if topic.v < 0 and (topic.symbol in found or not self._beat_since_connect):
                raise BusUnavailable(f"the last price of {topic.symbol} is not back yet")

    async def _confirm(self, topics: list[Topic]) -> None:
        await asyncio.sleep(CONFIRM_SECONDS)
        try:
            await self._read(topics)
        except BusUnavailable as error:
            # The reconnection rereads everything; the feed's repair round does in any case.
            log.warning("snapshot_not_confirmed", error=str(error))

    def _let_linger(self, topic: Topic) -> None:
        if topic.lists or topic.linger is not None or self._topics.get(topic.symbol) != topic:
            return
        loop = asyncio.get_running_loop()
        topic.linger = loop.call_later(self.terms.linger_seconds, self._drop, topic)

    def _drop(self, topic: Topic) -> None:
        topic.linger = None
        del self._topics[topic.symbol]
        hub_metrics.SYMBOLS.set(len(self._topics))
        if topic.subscription is not None:
            self._tasks.spawn(topic.subscription.close(), "hub-unsubscribe")

    async def _reread_later(self) -> None:
        self._beat_since_connect = False
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
                hub_metrics.REREADS.inc()
                return

    def _beat(self, payload: bytes) -> None:
        try:
            epoch = decode_beat(payload).epoch
        except msgspec.DecodeError as error:
            log.warning("beat_unreadable", error=str(error))
            return
        if epoch < self._epoch:
            hub_metrics.FENCED.inc()
            # Of a feed that was replaced it means nothing. Should the counter of epochs have been
            # lost, the feed claims a newer one when it hears this.
            resend = msgspec.json.encode(Resend(self._epoch))
            self._tasks.spawn(self._bus.notify(FEED_RESEND, resend), "hub-resend")
            return
        self._epoch = epoch
        hub_metrics.EPOCH.set(epoch)
        self._beat_at = time.monotonic()
        self._beat_since_connect = True
        self._tell_live()

    async def _watch_beat(self) -> None:
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            self._tell_live()

    def _tell_live(self) -> None:
        live = self.feed_is_live
        if live == self._flusher.live:
            return
        hub_metrics.LIVE.set(int(live))
        log.info("prices_live" if live else "prices_stale", viewers=self.viewers)
        self._flusher.tell_live(live)


@asynccontextmanager
async def open_hub(bus: Bus, last_prices: LastPrices, terms: Terms = TERMS) -> AsyncIterator[Hub]:
    """A hub as long as the block; at its end every stream ends."""
    async with TaskSet() as tasks:
        hub = Hub(bus, last_prices, tasks, terms)
        await hub.start()
        try:
            yield hub
        finally:
            hub.end_streams()
