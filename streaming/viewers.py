"""Who watches what: symbols on this node, lists of them, and the viewers of each list.

There is no queue. A topic has a stamp, the number of its last change on this node; a viewer has the
stamp up to which it was told. What a viewer has not seen is what has a higher stamp, however long
it was away: the newest tick of each such symbol, and no other.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from enum import Enum, auto
from typing import Any, Final

import msgspec
import structlog

from brokerage.bus.connection import BusSubscription
from brokerage.bus.tick import untraded, version_of

log = structlog.get_logger()

Message = dict[str, Any]
Send = Callable[[Message], Coroutine[Any, Any, None]]
"""An ASGI `send`, of which the flusher takes the first step by hand."""

PRICES_HEAD: Final = b"event: prices\ndata: ["
PRICES_TAIL: Final = b"]\n\n"


class Topic:
    """One symbol on this node: its newest tick, and the watch lists that have it."""

    __slots__ = ("fragment", "linger", "lists", "stamp", "subscription", "symbol", "v")

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.lists: set[WatchList] = set()
        self.fragment = untraded(symbol)
        self.v = -1
        self.stamp = 0
        self.subscription: BusSubscription | None = None
        self.linger: asyncio.TimerHandle | None = None

    def take(self, fragment: bytes, v_min: int) -> bool:
        """Keep the tick if it is newer than what is here and not older than `v_min`."""
        try:
            v = version_of(fragment)
        except msgspec.DecodeError as error:
            log.warning("tick_unreadable", symbol=self.symbol, error=str(error))
            return False
        if v <= self.v or v < v_min:
            return False
        self.v = v
        self.fragment = fragment
        return True


class WatchList:
    """A set of topics and its viewers: those with the same list share its bytes."""

    __slots__ = ("_snapshot", "_snapshot_stamp", "order", "topics", "viewers")

    def __init__(self, order: Sequence[Topic]) -> None:
        self.order = tuple(order)
        self.topics = frozenset(order)
        self.viewers: set[Viewer] = set()
        self._snapshot = b""
        self._snapshot_stamp = -1

    def snapshot(self) -> bytes:
        """The event `prices` with all of its topics.

        Kept while none of them changes and others share the list: when a node ends, its viewers
        come to the others all at once.
        """
        if len(self.viewers) < 2:
            self._snapshot = b""
            return prices_event(self.order)
        stamp = max(topic.stamp for topic in self.order)
        if self._snapshot_stamp < stamp or not self._snapshot:
            self._snapshot = prices_event(self.order)
            self._snapshot_stamp = stamp
        return self._snapshot


async def _nowhere(message: Message) -> None:
    raise RuntimeError("the stream has not begun")


class State(Enum):
    """Where a stream is: not begun, taking what it is told, behind with a write, over."""

    OPENING = auto()
    READING = auto()
    PARKED = auto()
    ENDED = auto()


class Viewer:
    """One open stream. Only the flusher writes to it.

    `stamp` is how far it was told, `owed` what it is to be told whatever its stamp (symbols that
    were added to a live stream). `written_at` is when the last write began, which is also when a
    parked one began to wait. Times are seconds of the monotonic clock.
    """

    __slots__ = (
        "ends_at",
        "owed",
        "send",
        "stamp",
        "state",
        "stream_id",
        "task",
        "told_live",
        "user_id",
        "waiting",
        "watch_list",
        "written_at",
    )

    def __init__(self, stream_id: str, user_id: str, watch_list: WatchList, ends_at: float) -> None:
        self.stream_id = stream_id
        self.user_id = user_id
        self.watch_list = watch_list
        self.ends_at = ends_at
        self.send: Send = _nowhere
        self.task: asyncio.Task[object] | None = None
        self.stamp = 0
        self.owed: frozenset[Topic] = frozenset()
        self.state = State.OPENING
        self.told_live = True
        self.waiting: asyncio.Task[None] | None = None
        self.written_at = 0.0

    @property
    def ended(self) -> bool:
        """True once nothing is written to it any more."""
        return self.state is State.ENDED

    def unseen(self) -> list[Topic]:
        """What it has not been told yet."""
        stamp, owed = self.stamp, self.owed
        if not owed:
            return [topic for topic in self.watch_list.topics if topic.stamp > stamp]
        return [t for t in self.watch_list.topics if t.stamp > stamp or t in owed]


def prices_event(topics: Iterable[Topic]) -> bytes:
    """The event `prices` with the newest tick of each of `topics`."""
    fragments = b",".join([topic.fragment for topic in topics])
    return b"".join((PRICES_HEAD, fragments, PRICES_TAIL))
