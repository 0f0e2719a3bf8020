"""An event loop whose clock leaps: when every task waits, it is the time of the next one."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, tzinfo
from typing import Any, Final, TypeVar

EPOCH_SECONDS: Final = 1_772_452_800.0
"""When a loop begins, on the wall."""

T = TypeVar("T")


class NothingCanHappen(Exception):
    """Every task waits, and nobody ever wakes one."""


class _Leap(selectors.SelectSelector):
    """Nothing to read or write ever comes: waiting for it is what moves the clock."""

    def __init__(self) -> None:
        super().__init__()
        self.now_seconds = 0.0
        self.idle: Callable[[], bool] = lambda: False

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is not None and timeout <= 0:
            return []
        if not self.idle():
            if timeout is None:
                raise NothingCanHappen
            self.now_seconds += timeout
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """`on_idle` is asked before the clock leaps: true if it set something going instead."""

    def __init__(self) -> None:
        self._leap = _Leap()
        super().__init__(self._leap)

    def time(self) -> float:
        return self._leap.now_seconds

    def on_idle(self, idle: Callable[[], bool]) -> None:
        """Ask `idle` whenever no task can go on."""
        self._leap.idle = idle


class VirtualDatetime(datetime):
    """`datetime` for the code under test: `now` is the running loop's."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> "VirtualDatetime":
        return cls.fromtimestamp(wall_seconds(), tz)


def wall_seconds() -> float:
    """The time on the wall of the running loop."""
    return EPOCH_SECONDS + asyncio.get_running_loop().time()


def wall_ms() -> int:
    """The same in whole milliseconds, as a process reads its clock."""
    return int(wall_seconds() * 1000)


def wall() -> datetime:
    """The same as a time."""
    return datetime.fromtimestamp(wall_seconds(), UTC)


def run_in_virtual_time(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end; whatever else still runs then is cancelled."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)
