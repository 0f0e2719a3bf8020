"""Order workers that are started and stopped while orders run."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from devstack.process import State
from devstack.services import kind_of
from devstack.stack import DevStack

CLEAN: Final = "ended with exit code 0"


@dataclass(frozen=True, slots=True)
class Drain:
    """A worker that was told to stop, `at` seconds into the run, and how it ended."""

    name: str
    at: float
    seconds: float
    ended: str

    @property
    def clean(self) -> bool:
        """Whether it finished what it had and left by itself."""
        return self.ended == CLEAN


class Fleet:
    """The order workers of a stack; those with the highest numbers come last and go first."""

    def __init__(self, stack: DevStack) -> None:
        self._stack = stack
        self.clock: Callable[[], float] = time.monotonic
        self._names = [name for name in stack.names if kind_of(name) == "orders"]
        self._moves: dict[str, asyncio.Task[None]] = {}
        self.wanted = len(self._names)
        self.drains: list[Drain] = []

    @property
    def ready(self) -> int:
        """How many work now."""
        return sum(self._stack.processes[name].state is State.READY for name in self._names)

    def resize(self, wanted: int) -> None:
        """Have so many from now on; each comes and goes in its own time."""
        for name in self._names[self.wanted : wanted]:
            self._move(name, self._stack.start)
        for name in self._names[wanted : self.wanted]:
            self._move(name, self._stop)
        self.wanted = wanted

    async def settled(self) -> None:
        """Wait for those on their way. Raises what one of them did."""
        for move in list(self._moves.values()):
            await move

    def _move(self, name: str, move: Callable[[str], Awaitable[None]]) -> None:
        before = self._moves.get(name)

        async def then() -> None:
            if before is not None:
                await before
            await move(name)

        self._moves[name] = asyncio.get_running_loop().create_task(then())

    async def _stop(self, name: str) -> None:
        began = self.clock()
        await self._stack.stop(name)
        ended = self._stack.processes[name].last_end
        self.drains.append(Drain(name, began, self.clock() - began, ended))
