"""A stream of executions in memory, which can refuse; and reading the real one."""

from collections.abc import Sequence
from datetime import UTC, datetime

from brokerage.bus.connection import BusUnavailable
from brokerage.bus.execution_log import APPEND_MAX, ExecutionLog, LogEnd, LogEntry
from brokerage.bus.executions import Delivery, ExecutionReader
from tests.support.eventually import eventually


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


async def stored(log: ExecutionLog, entries: Sequence[LogEntry]) -> None:
    """Append as the feed does: what is not certainly stored is sent again."""

    async def all_of_them() -> bool:
        return await log.append(entries) == len(entries)

    await eventually(all_of_them, "all is stored")


async def fetched(reader: ExecutionReader, count: int) -> list[Delivery]:
    """So many reports, in their order: a fetch may be over before all of them have come."""
    found: dict[str, Delivery] = {}

    async def all_of_them() -> bool:
        found.update({one.message_id: one for one in await reader.fetch(count)})
        return len(found) == count

    await eventually(all_of_them, f"{count} reports have come")
    return [*found.values()]
