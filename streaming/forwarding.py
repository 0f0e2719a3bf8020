"""The feed's handing over of what concerns our orders: in order, nothing left out, for ever."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import datetime
from itertools import islice
from typing import Final

import msgspec
import structlog

from brokerage.bus.connection import BusUnavailable
from brokerage.bus.execution_log import APPEND_MAX, ExecutionLog, LogEntry
from brokerage.contracts.subjects import execution_subject
from brokerage.gateway.reports import report_of
from brokerage.runtime.backoff import Backoff
from exchange.protocol import MemberMessage
from streaming import feed_metrics

log = structlog.get_logger()

WAITING_MAX: Final = 20_000
"""So many messages are kept in memory at most; what comes then is asked for again later."""
AGAIN: Final = Backoff(0.1, 2.0)


def entry_of(message: MemberMessage, session: str) -> LogEntry:
    """The message as the stream keeps it, under the id that says what "once" means for it."""
    report = report_of(message)
    subject = execution_subject(report.kind, report.external_order_id)
    return LogEntry(subject, msgspec.json.encode(report), report.report_id, message.seq, session)


class SettledUnknown(Exception):
    """The settled sequence cannot be read now; asked again later."""


class Forwarder:
    """Takes member messages without waiting and stores them in the background.

    `taken_seq` is the last member sequence taken, `session` what the exchange calls the journal it
    counts in (empty until known). While `refusing` (nobody knows yet where to go
    on, or too much waits), messages are left with the exchange, which replays them when the feed
    asks again (`wants_replay`).
    """

    def __init__(
        self,
        execution_log: ExecutionLog,
        settled_seq: Callable[[], Awaitable[int]],
        waiting_max: int = WAITING_MAX,
    ) -> None:
        self._log = execution_log
        self._settled_seq = settled_seq
        self._waiting: deque[LogEntry] = deque()
        self._waiting_max = waiting_max
        self._arrived = asyncio.Event()
        self._stored_seq = 0
        self._stream_made_at: datetime | None = None
        self.located = asyncio.Event()
        self.taken_seq = 0
        self.session = ""
        self.refusing = True

    @property
    def wants_replay(self) -> bool:
        """True once what was refused can be taken."""
        room = len(self._waiting) <= self._waiting_max // 2
        return self.refusing and room and self.located.is_set()

    async def locate(self) -> int:
        """The member sequence up to which everything is certainly stored or settled.

        Raises `BusUnavailable`, or `SettledUnknown` where the stream is empty.
        """
        self._stream_made_at = await self._log.made_at()
        end = await self._log.end()
        if end is None:
            return await self._settled_seq()
        self.session = self.session or end.session
        # Of the last entries sent together some may be missing before the newest one stored.
        return max(0, end.feed_seq - APPEND_MAX)

    def resume_from(self, member_seq: int) -> None:
        """Expect the message after `member_seq` next, whatever was taken before."""
        self._waiting.clear()
        self.taken_seq = self._stored_seq = member_seq
        self.refusing = False
        self.located.set()
        log.info("executions_resume", member_seq=member_seq)

    def connected(self) -> None:
        """The feed is about to replay all that comes after `taken_seq`."""
        if self.wants_replay:
            self.refusing = False

    def take(self, message: MemberMessage) -> None:
        """Queue the message after `taken_seq`, or begin to refuse."""
        if self.refusing:
            return
        if len(self._waiting) >= self._waiting_max:
            self.refusing = True
            log.error("executions_refused", waiting=len(self._waiting), seq=message.seq)
            return
        self._waiting.append(entry_of(message, self.session))
        self.taken_seq = message.seq
        self._arrived.set()

    async def check_stream(self) -> None:
        """Look whether the stream still has what it acknowledged; if not, go on after what is
        settled: a stream that was made anew may have newer entries already, and not those before.

        The feed has to connect again then: `wants_replay` says so. Raises as `locate` does.
        """
        if not self.located.is_set() or self._stored_seq == 0:
            return
        made_at, end = await self._log.made_at(), await self._log.end()
        reaches_back = end is not None and end.feed_seq >= self._stored_seq - APPEND_MAX
        if reaches_back and made_at == self._stream_made_at:
            return
        log.error("executions_stream_lost", end=end, stored=self._stored_seq)
        settled_seq = await self._settled_seq()
        self._stream_made_at = made_at
        self.resume_from(settled_seq)
        self.refusing = True

    async def run(self) -> None:
        """Store what is taken, in order; what is not acknowledged is sent again until it is."""
        await self._start()
        failures = 0
        while True:
            feed_metrics.BACKLOG.set(len(self._waiting))
            if not self._waiting:
                self._arrived.clear()
                await self._arrived.wait()
            batch = list(islice(self._waiting, APPEND_MAX))
            stored = await self._log.append(batch)
            for entry in batch[:stored]:
                # A rewind in the meantime emptied the queue: then nothing of the batch is in it.
                if self._waiting and self._waiting[0] is entry:
                    self._waiting.popleft()
                    self._stored_seq = entry.feed_seq
            feed_metrics.FORWARDED.inc(stored)
            failures = 0 if stored == len(batch) else failures + 1
            if failures:
                await asyncio.sleep(AGAIN.pause_seconds(failures))

    async def _start(self) -> None:
        failures = 0
        while True:
            try:
                self.resume_from(await self.locate())
            except (BusUnavailable, SettledUnknown) as error:
                log.warning("executions_not_located", error=str(error))
                failures += 1
                await asyncio.sleep(AGAIN.pause_seconds(failures))
            else:
                return
