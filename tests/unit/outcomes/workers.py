"""Worker processes that are killed, frozen and thawed in the middle of what they do."""

import asyncio
from typing import Final

from tests.unit.outcomes.chance import Chance

PROCESS_FAULTS: Final = {"killed": 2, "frozen": 3}
PLACES: Final = (
    "taking up an activity",
    "before the database",
    "before the commit",
    "after the database",
    "before asking the gateway",
    "after asking the gateway",
)
FREEZE_SECONDS: Final = (0.5, 60.0)
DETECTED_SECONDS: Final = 4.0
"""A workflow task whose worker is gone goes to another one after this."""


class Killed(asyncio.CancelledError):
    """The process ended in this very place."""


class Worker:
    """One process. Everything it does outside itself goes through `gate`."""

    def __init__(self, chance: Chance, name: str) -> None:
        self.name = name
        self._chance = chance
        self._thaws_at = 0.0
        self.dead = False
        self.froze = 0

    @property
    def is_frozen(self) -> bool:
        """True while nothing in the process moves."""
        return asyncio.get_running_loop().time() < self._thaws_at

    @property
    def is_lost(self) -> bool:
        """True when it cannot go on now."""
        return self.dead or self.is_frozen

    @property
    def thaws_at(self) -> float:
        """When it goes on (seconds of the loop), if it was frozen."""
        return self._thaws_at

    async def gate(self, where: str) -> None:
        """Pass, unless the process is killed or frozen here. Raises `Killed`."""
        if not self.is_lost:
            match self._chance.fate(f"worker {where}", PROCESS_FAULTS):
                case "killed":
                    self.dead = True
                    self._chance.note(f"{self.name} is killed")
                case "frozen":
                    seconds = self._chance.late_seconds(*FREEZE_SECONDS)
                    self._thaws_at = asyncio.get_running_loop().time() + seconds
                    self.froze += 1
                    self._chance.note(f"{self.name} is frozen for {seconds:.1f} s")
        await self.thawed()
        if self.dead:
            raise Killed

    async def thawed(self) -> None:
        """Wait while frozen; a cancellation that comes meanwhile is felt afterwards."""
        cancelled: asyncio.CancelledError | None = None
        while self.is_frozen:
            try:
                await asyncio.sleep(self._thaws_at - asyncio.get_running_loop().time())
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is not None:
            raise cancelled
