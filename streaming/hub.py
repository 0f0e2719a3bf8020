"""One node's fan-out: its viewers and their lists, over the topics it follows."""

import asyncio
import random
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from brokerage.bus.beat import Beat
from brokerage.bus.connection import Bus
from brokerage.bus.last_price import LastPrices
from brokerage.runtime.tasks import TaskSet
from streaming import hub_metrics
from streaming.flusher import Flusher
from streaming.pulse import Pulse
from streaming.topics import Topics
from streaming.viewers import Send, State, Topic, Viewer, WatchList


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
        self._tasks = tasks
        self._flusher = Flusher(
            tasks,
            heartbeat_seconds=terms.heartbeat_seconds,
            stalled_seconds_max=terms.stalled_seconds_max,
        )
        self._pulse = Pulse(bus, tasks, terms.stale_seconds, self._flusher.tell_live)
        self._topics = Topics(
            bus, last_prices, tasks, self._pulse, terms.linger_seconds, self._flusher.changed
        )
        self._stops: set[asyncio.Event] = set()

    @property
    def feed_is_live(self) -> bool:
        """True while the feed's beat was heard within the last five seconds."""
        return self._pulse.live

    @property
    def beat(self) -> Beat | None:
        """What the feed said last, and of what the exchange takes orders; None if it is silent."""
        return self._pulse.beat

    @property
    def symbols(self) -> set[str]:
        """The symbols this node follows now."""
        return self._topics.symbols

    @property
    def viewers(self) -> int:
        """How many streams are open."""
        return len(self._flusher.viewers)

    @property
    def v_min(self) -> int:
        """The least version a tick may have: what an owner of the feed says that is none any more
        is refused.
        """
        return self._pulse.v_min

    async def join(self, user_id: str, symbols: Sequence[str]) -> Viewer:
        """A viewer of `symbols` that is not written to before `begin`; `leave` must follow.

        Raises `BusUnavailable` if a symbol is not followed yet and NATS does not answer, or does
        not have its last price back.
        """
        topics = await self._topics.follow(symbols)
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
        topics = await self._topics.follow(symbols)
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
        await self._pulse.start()
        self._topics.start()
        self._tasks.spawn(self._flusher.run(), "hub-flush")
        self._tasks.spawn(self._flusher.keep(), "hub-keep")

    async def _end_with(self, stopping: asyncio.Event) -> None:
        await stopping.wait()
        self.end_streams()

    def _list_of(self, topics: Sequence[Topic]) -> WatchList:
        key = frozenset(topics)
        watch_list = self._flusher.lists.get(key)
        if watch_list is None:
            watch_list = WatchList(topics)
            self._flusher.lists[key] = watch_list
            for topic in key:
                topic.lists.add(watch_list)
                self._topics.keep(topic)
        return watch_list

    def _drop_from_list(self, viewer: Viewer) -> None:
        watch_list = viewer.watch_list
        watch_list.viewers.discard(viewer)
        if watch_list.viewers:
            return
        del self._flusher.lists[watch_list.topics]
        for topic in watch_list.topics:
            topic.lists.discard(watch_list)
            self._topics.let_linger(topic)

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
