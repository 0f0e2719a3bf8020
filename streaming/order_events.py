"""One node's fan-out of order events: how it hears of them, and what its streams share.

A notice costs one read for all streams of its user. Notices may be lost, so a beat asks Postgres
how far every log goes: one question for all users of the node.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import structlog

from brokerage.bus.connection import Bus, BusUnavailable
from brokerage.contracts.subjects import orders_subject
from brokerage.runtime.tasks import TaskSet
from brokerage.storage.event_reads import OrderEvent, events_after, last_seqs
from brokerage.storage.pool import DatabaseUnavailable, Pool
from streaming import order_event_metrics as metrics
from streaming.order_log import PAGE_EVENTS, OrderStream, Terms, UserLog

log = structlog.get_logger()

TERMS: Final = Terms()


class UnknownUser(Exception):
    """The user has no account, and so no log."""


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
        self._pool = pool
        self._bus = bus
        self._tasks = tasks
        self._logs: dict[str, UserLog] = {}
        self._reads = asyncio.Semaphore(terms.reads_max)

    async def open(self, user_id: str, after: int | None) -> OrderStream:
        """A stream of the user's events after `after` (0: all), or of those from now on.

        Whoever opens one leaves it. Raises `UnknownUser` or `DatabaseUnavailable`.
        """
        user_log = self._logs.setdefault(user_id, UserLog(user_id))
        stream = OrderStream(user_log, self.terms, self._page)
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
        """End every stream."""
        for user_log in self._logs.values():
            for stream in user_log.streams:
                stream.end()

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
                log.error("order_log_cut", user_id=user_log.user_id, last_seq=last_seq)
                user_log.cut(last_seq)
            elif last_seq is not None and last_seq > user_log.heard_seq:
                metrics.MISSED.inc()
                self._hear(user_log, last_seq)
            self._read_if_behind(user_log)
            user_log.wake()
            if user_log.subscription is None:
                await self._listen(user_log)

    async def _page(self, user_id: str, after: int, why: str) -> list[OrderEvent]:
        """The next events after `after`; raises `DatabaseUnavailable`."""
        async with self._reads:
            metrics.READS.labels(why).inc()
            page = await events_after(self._pool(), user_id, after, PAGE_EVENTS)
        return page.events if page else []

    async def _listen(self, user_log: UserLog) -> None:
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

    def _hear(self, user_log: UserLog, seq: int) -> None:
        user_log.heard_seq = max(user_log.heard_seq, seq)
        self._read_if_behind(user_log)

    def _read_if_behind(self, user_log: UserLog) -> None:
        if not user_log.reading and 0 <= user_log.last_seq < user_log.heard_seq:
            user_log.reading = True
            self._tasks.spawn(self._read(user_log), "order-events-read")

    async def _read(self, user_log: UserLog) -> None:
        try:
            while user_log.streams and user_log.last_seq < user_log.heard_seq:
                heard_seq, last_seq = user_log.heard_seq, user_log.last_seq
                events = await self._page(user_log.user_id, last_seq, "live")
                if user_log.last_seq != last_seq:
                    continue  # the log was cut meanwhile
                if events:
                    user_log.take(events)
                elif user_log.heard_seq == heard_seq:
                    user_log.heard_seq = last_seq  # a notice of what is not there
        except DatabaseUnavailable as error:
            # The beat tries again.
            log.warning("order_events_unread", user_id=user_log.user_id, error=str(error))
        finally:
            user_log.reading = False


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
