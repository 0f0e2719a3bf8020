"""A stream of executions in memory, which can refuse."""

from collections.abc import Sequence
from datetime import UTC, datetime

from brokerage.bus.connection import BusUnavailable
from brokerage.bus.execution_log import APPEND_MAX, ExecutionLog, LogEnd, LogEntry


class MemoryExecutionLog(ExecutionLog):
    """Stores what comes, but at most `room` entries, and nothing while `away`."""

    def __init__(self) -> None:
        self.stored: list[LogEntry] = []
        self.room = 1_000_000
        self.away = False
        self.stream_made_at = datetime.now(UTC)

    def lose(self) -> None:
        """Lose everything; an empty one is made in its place."""
        self.stored = []
        self.stream_made_at = datetime.now(UTC)

    async def made_at(self) -> datetime:
        if self.away:
            raise BusUnavailable("away")
        return self.stream_made_at

    async def end(self) -> LogEnd | None:
        if self.away:
            raise BusUnavailable("away")
        if not self.stored:
            return None
        return LogEnd(self.stored[-1].feed_seq, self.stored[-1].session)

    async def append(self, entries: Sequence[LogEntry]) -> int:
        taken = [] if self.away else list(entries[: min(APPEND_MAX, self.room - len(self.stored))])
        self.stored += taken
        return len(taken)
