"""One user's log on one node, and the streams that tell it: each is a position in it, not a queue.

What was read last is kept for a while and shared by all of them; a stream that is further behind
reads pages of its own, as fast as its client takes them.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Final

from brokerage.bus.connection import BusSubscription
from brokerage.contracts.problems import encode
from brokerage.contracts.views import event_view
from brokerage.storage.event_reads import OrderEvent
from brokerage.storage.pool import DatabaseUnavailable

PAGE_EVENTS: Final = 100
TAIL_EVENTS: Final = 200
"""How many events are kept for the streams of a user that read them a little later."""
RETRY_MS: Final = (1_000, 5_000)
"""When a node ends, its streams come back spread over this time, not all at once."""

ReadPage = Callable[[str, int, str], Awaitable[list[OrderEvent]]]
"""Reads a user's events after one, and counts why; raises `DatabaseUnavailable`."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How streams are kept. `lifetime`: a stream ends after a time from this range, so that streams
    spread over new nodes; `reads_max`: connections to Postgres that streams use at once.
    """

    heartbeat_seconds: float = 5.0
    lifetime_seconds: tuple[float, float] = (720.0, 1_080.0)
    reads_max: int = 2


class UserLog:
    """The log of one user as far as this node knows it; the last part of it at hand."""

    def __init__(self, user_id: str) -> None:
        self.user_id = user_id
        self.streams: set[OrderStream] = set()
        self.listening = asyncio.Lock()
        self.subscription: BusSubscription | None = None
        self.last_seq = -1
        """The last event that was read; -1 before the end of the log was first asked for."""
        self.heard_seq = 0
        self.reading = False
        self.beats = 0
        self.beat_seq: int | None = None
        """What the last beat found; None where Postgres did not answer."""
        self._tail: list[bytes] = []

    def after(self, seq: int) -> list[bytes] | None:
        """The events after `seq`, as far as they were read; None where they are not at hand."""
        missing = self.last_seq - seq
        if missing <= 0:
            return []
        return self._tail[-missing:] if missing <= len(self._tail) else None

    def take(self, events: list[OrderEvent]) -> None:
        """Go on with the events that follow the last one."""
        self._tail = [*self._tail, *frames(events, self.last_seq)][-TAIL_EVENTS:]
        self.last_seq = events[-1].seq
        self.wake()

    def cut(self, last_seq: int) -> None:
        """The database is an older one than it was: what followed `last_seq` never was."""
        self.last_seq = self.heard_seq = last_seq
        self._tail = []
        for stream in self.streams:
            stream.cut(last_seq)

    def wake(self) -> None:
        """Let every stream look what there is."""
        for stream in self.streams:
            stream.woken.set()


class OrderStream:
    """One open stream: `chunks` is all that it tells, `position` the last event it told."""

    def __init__(self, log: UserLog, terms: Terms, read: ReadPage) -> None:
        self.log = log
        self.position = 0
        self.woken = asyncio.Event()
        self._terms = terms
        self._read = read
        self._ended = False
        self._was_cut = False
        self._beats_told = 0
        self._ends_at = time.monotonic() + random.uniform(*terms.lifetime_seconds)

    def begin(self, after: int | None, last_seq: int) -> None:
        """Start after the event `after`, or live; `last_seq` is where the log ends now."""
        self.position = last_seq if after is None else after
        self._beats_told = self.log.beats
        self.cut(last_seq)

    def cut(self, last_seq: int) -> None:
        """The log ends at `last_seq`: who knows more is told so, and goes on from there."""
        if self.position > last_seq:
            self.position = last_seq
            self._was_cut = True
            self.woken.set()

    def end(self) -> None:
        """End it after what it is telling just now."""
        self._ended = True
        self.woken.set()

    async def chunks(self) -> AsyncIterator[bytes]:
        """Whole events, until the stream has lived long enough or the node stops."""
        yield self._hello()
        while not self._ended and time.monotonic() < self._ends_at:
            chunk = self._reset() or await self._unsent() or self._heartbeat()
            if chunk:
                yield chunk
                continue
            await self.woken.wait()
            self.woken.clear()

    def _hello(self) -> bytes:
        # The id makes an EventSource that loses this stream before any event come back to here.
        return b"retry: %d\n" % random.randint(*RETRY_MS) + _event(
            "hello",
            {"after": self.position, "heartbeatSeconds": self._terms.heartbeat_seconds},
            seq=self.position,
        )

    def _reset(self) -> bytes:
        if not self._was_cut:
            return b""
        self._was_cut = False
        return _event("reset", {"lastSeq": self.position}, seq=self.position)

    async def _unsent(self) -> bytes:
        position = self.position
        ready = self.log.after(position)
        if ready is None:
            try:
                page = await self._read(self.log.user_id, position, "replay")
            except DatabaseUnavailable:
                return b""  # the next beat wakes it again, and tells what it finds
            if self._was_cut:
                return self._reset()
            ready = frames(page, position)
        ready = ready[:PAGE_EVENTS]
        self.position += len(ready)
        return b"".join(ready)

    def _heartbeat(self) -> bytes:
        """What the last beat found, once everything up to there was told."""
        last_seq = self.log.beat_seq
        if self._beats_told == self.log.beats or (last_seq or 0) > self.position:
            return b""
        self._beats_told = self.log.beats
        return _event("heartbeat", {"lastSeq": last_seq})


def frames(events: Iterable[OrderEvent], after: int) -> list[bytes]:
    """The events as they are sent. Raises RuntimeError where they do not follow `after` one by one:
    better no stream than one with a hole.
    """
    made: list[bytes] = []
    for seq, event in enumerate(events, start=after + 1):
        if event.seq != seq:
            raise RuntimeError(f"event {event.seq} follows {seq - 1}")
        view = event_view(event.seq, event.kind, event.order, event.detail)
        made.append(_event("order", view, seq=event.seq))
    return made


def _event(name: str, data: dict[str, object], seq: int | None = None) -> bytes:
    head = "" if seq is None else f"id: {seq}\n"
    return f"{head}event: {name}\ndata: {encode(data)}\n\n".encode()
