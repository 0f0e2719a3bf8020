"""Goes through the schedule: hurts, heals, and measures how long recovery takes."""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from devstack.process import GOOD
from devstack.stack import DevStack
from tests.soak.hands import Hands
from tests.soak.recovery import Recovery
from tests.soak.result import Blow, Seen
from tests.soak.schedule import Episode, Fault
from tests.support.eventually import comes_true

CALM_WAIT_SECONDS: Final = 30.0
BACK_SECONDS: Final = 60.0


@dataclass
class Nemesis:
    """One run of it; `tell` hears what it does."""

    stack: DevStack
    hands: Hands
    recovery: Recovery
    tell: Callable[[str], None]
    blows: list[Blow] = field(default_factory=list)
    _began: float = field(default_factory=time.monotonic)

    async def run(self, schedule: Iterator[Episode], over: asyncio.Event) -> None:
        """Carry out episodes until it is over; the one under way then is finished."""
        for episode in schedule:
            await _sleep_unless(over, episode.quiet_seconds)
            if over.is_set():
                return
            if episode.second is None:
                await self._alone(episode, over)
            else:
                await self._pair(episode, episode.second)
            await comes_true(self._all_are_well, BACK_SECONDS)

    async def _alone(self, episode: Episode, over: asyncio.Event) -> None:
        async def calm_or_over() -> bool:
            return over.is_set() or await self.recovery.is_calm()

        # What is measured next is to be of this fault alone.
        calm = await comes_true(calm_or_over, CALM_WAIT_SECONDS)
        if over.is_set():
            return
        at, seen = await self._strike(episode.first)
        killed = episode.first.target if episode.first.kind == "kill" else None
        measured = calm and seen.acted
        recovered = await self.recovery.measure(seen.since, killed) if measured else None
        self.blows.append(Blow(episode.number, at, episode.first, seen, recovered))

    async def _pair(self, episode: Episode, second: Fault) -> None:
        async def strike(fault: Fault, after_seconds: float) -> None:
            await asyncio.sleep(after_seconds)
            at, seen = await self._strike(fault)
            self.blows.append(Blow(episode.number, at, fault, seen, None))

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(strike(episode.first, 0.0))
            tasks.create_task(strike(second, episode.second_after_seconds))

    def _all_are_well(self) -> bool:
        return all(process.state in GOOD for process in self.stack.processes.values())

    async def _strike(self, fault: Fault) -> tuple[float, Seen]:
        at = time.monotonic() - self._began
        self.tell(f"{fault} for {fault.seconds:g} s" if fault.seconds else str(fault))
        return at, await self.hands.carry_out(fault)


async def _sleep_unless(over: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await over.wait()
    except TimeoutError:
        pass
