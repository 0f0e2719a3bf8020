"""One node's fan-out of order events: what the streams of a user share, and how each goes on.

Nothing is queued for anybody: Postgres has the log, a stream has a position in it. A notice costs
one read for all streams of its user, since what was read last is kept for a while; a stream that is
further behind reads pages of its own, as fast as its client takes them. Notices may be lost, so a
beat asks Postgres how far every log goes: one question for all users of the node.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import structlog

from brokerage.bus.connection import Bus, BusSubscription, BusUnavailable
from brokerage.contracts.problems import encode
from brokerage.contracts.subjects import orders_subject
from brokerage.contracts.views import event_view
from brokerage.runtime.tasks import TaskSet
from brokerage.storage.event_reads import OrderEvent, events_after, last_seqs
from brokerage.storage.pool import DatabaseUnavailable, Pool
from streaming import order_event_metrics as metrics

log = structlog.get_logger()

PAGE_EVENTS: Final = 100
TAIL_EVENTS: Final = 200
"""How many events are kept for the streams of a user that read them a little later."""
RETRY_MS: Final = (1_000, 5_000)
"""When a node ends, its streams come back spread over this time, not all at once."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How streams are kept. `lifetime`: a stream ends after a time from this range, so that streams
    spread over new nodes; `reads_max`: connections to Postgres that streams use at once.
    """

    heartbeat_seconds: float = 5.0
    lifetime_seconds: tuple[float, float] = (720.0, 1_080.0)
    reads_max: int = 2


TERMS: Final = Terms()


class UnknownUser(Exception):
    """The user has no account, and so no log."""


class _Log:
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

    def __init__(self, log: _Log, owner: "OrderStreams") -> None:
        self.log = log
        self.position = 0
        self.woken = asyncio.Event()
        self._owner = owner
        self._was_cut = False
        self._beats_told = 0
        self._ends_at = time.monotonic() + random.uniform(*owner.terms.lifetime_seconds)

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

    @property
    def user_id(self) -> str:
        """Whose it is."""
        return self.log.user_id

    def leave(self) -> None:
        """Forget it: it is over."""
        self._owner.leave(self)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Whole events, until the stream has lived long enough or the node stops."""
        yield self._hello()
        while not self._owner.ended and time.monotonic() < self._ends_at:
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
            {"after": self.position, "heartbeatSeconds": self._owner.terms.heartbeat_seconds},
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
                page = await self._owner.page(self.user_id, position, "replay")
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


class OrderStreams:
    """Opened and closed by `open_order_streams`; `pool` and `bus` give them once they are there."""

    def __init__(
        self,
        pool: "Callable[[], Pool[Any]]",
        bus: Callable[[], Bus | None],
        tasks: TaskSet,
        terms: Terms,
    ) -> None:
        self.terms: Final = terms
        self.ended = False
        self._pool = pool
        self._bus = bus
        self._tasks = tasks
        self._logs: dict[str, _Log] = {}
        self._reads = asyncio.Semaphore(terms.reads_max)

    async def open(self, user_id: str, after: int | None) -> OrderStream:
        """A stream of the user's events after `after` (0: all), or of those from now on.

        Whoever opens one leaves it. Raises `UnknownUser` or `DatabaseUnavailable`.
        """
        user_log = self._logs.setdefault(user_id, _Log(user_id))
        stream = OrderStream(user_log, self)
        user_log.streams.add(stream)
        metrics.STREAMS.inc()
        metrics.USERS.set(len(self._logs))
        try:
            # Before the end of the log is read: what comes after that is then heard of.
            await self._listen(user_log)
            last_seq = (await last_seqs(self._pool(), [user_id])).get(user_id)
            if last_seq is None:
                raise UnknownUser(user_id)
        except BaseException:
            self.leave(stream)
            raise
        if user_log.last_seq < 0:
            user_log.last_seq = last_seq
        self._hear(user_log, last_seq)
        stream.begin(after, last_seq)
        return stream

    def leave(self, stream: OrderStream) -> None:
        """The stream is over."""
        user_log = stream.log
        user_log.streams.remove(stream)
        metrics.STREAMS.dec()
        if not user_log.streams:
            del self._logs[user_log.user_id]
            metrics.USERS.set(len(self._logs))
            if user_log.subscription is not None:
                self._tasks.spawn(user_log.subscription.close(), "order-notices-end")

    def end(self) -> None:
        """End every stream after what it is telling just now."""
        self.ended = True
        for user_log in self._logs.values():
            user_log.wake()

    async def page(self, user_id: str, after: int, why: str) -> list[OrderEvent]:
        """The next events after `after`; raises `DatabaseUnavailable`."""
        async with self._reads:
            metrics.READS.labels(why).inc()
            page = await events_after(self._pool(), user_id, after, PAGE_EVENTS)
        return page.events if page else []

    async def beat(self) -> None:
        """Ask how far all logs go; wake those whose notices were lost, tell all what was found."""
        logs = {
            user_log: max([user_log.last_seq, *[stream.position for stream in user_log.streams]])
            for user_log in self._logs.values()
            if user_log.last_seq >= 0
        }
        if not logs:
            return
        try:
            found = await last_seqs(self._pool(), [user_log.user_id for user_log in logs])
        except DatabaseUnavailable as error:
            log.warning("order_logs_unknown", error=str(error))
            found = {}
        for user_log, known_seq in logs.items():
            last_seq = found.get(user_log.user_id)
            user_log.beats += 1
            user_log.beat_seq = last_seq
            if last_seq is not None and last_seq < known_seq:
                metrics.CUT.inc()
                log.error("order_log_cut", user=user_log.user_id, last_seq=last_seq)
                user_log.cut(last_seq)
            elif last_seq is not None and last_seq > user_log.heard_seq:
                metrics.MISSED.inc()
                self._hear(user_log, last_seq)
            self._read_if_behind(user_log)
            user_log.wake()
            if user_log.subscription is None:
                await self._listen(user_log)

    async def _listen(self, user_log: _Log) -> None:
        """Hear of the user's events; without a bus only beats tell of them."""
        bus = self._bus()
        if bus is None:
            return

        def take(payload: bytes) -> None:
            self._hear(user_log, int(payload) if payload.isdigit() else user_log.last_seq + 1)

        async with user_log.listening:
            if user_log.subscription is not None:
                return
            try:
                subject = orders_subject(user_log.user_id)
                user_log.subscription = await bus.listen(subject, take)
            except BusUnavailable as error:
                log.debug("no_order_notices", error=str(error))
        if not user_log.streams and user_log.subscription is not None:
            await user_log.subscription.close()  # the last stream left meanwhile

    def _hear(self, user_log: _Log, seq: int) -> None:
        user_log.heard_seq = max(user_log.heard_seq, seq)
        self._read_if_behind(user_log)

    def _read_if_behind(self, user_log: _Log) -> None:
        if not user_log.reading and 0 <= user_log.last_seq < user_log.heard_seq:
            user_log.reading = True
            self._tasks.spawn(self._read(user_log), "order-events-read")

    async def _read(self, user_log: _Log) -> None:
        try:
            while user_log.streams and user_log.last_seq < user_log.heard_seq:
                heard_seq, last_seq = user_log.heard_seq, user_log.last_seq
                events = await self.page(user_log.user_id, last_seq, "live")
                if user_log.last_seq != last_seq:
                    continue  # the log was cut meanwhile
                if events:
                    user_log.take(events)
                elif user_log.heard_seq == heard_seq:
                    user_log.heard_seq = last_seq  # a notice of what is not there
        except DatabaseUnavailable as error:
            # The beat tries again.
            log.warning("order_events_unread", user=user_log.user_id, error=str(error))
        finally:
            user_log.reading = False


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


@asynccontextmanager
async def open_order_streams(
    pool: "Callable[[], Pool[Any]]",
    bus: Callable[[], Bus | None],
    stopping: asyncio.Event,
    terms: Terms = TERMS,
) -> AsyncIterator[OrderStreams]:
    """Streams as long as the block, or until `stopping` is set."""
    async with TaskSet() as tasks:
        streams = OrderStreams(pool, bus, tasks, terms)

        async def keep_beating() -> None:
            while True:
                await asyncio.sleep(terms.heartbeat_seconds)
                await streams.beat()

        async def end_when_stopping() -> None:
            await stopping.wait()
            streams.end()

        tasks.spawn(keep_beating(), "order-streams-beat")
        tasks.spawn(end_when_stopping(), "order-streams-stop")
        try:
            yield streams
        finally:
            streams.end()
