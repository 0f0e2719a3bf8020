"""Processes killed in the middle of a run, at moments that the seed chooses."""

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bench.target import ProcessRow, Target, row_of
from devstack.errors import StackError

KILLABLE: Final = ("orders", "gateway", "feed", "executions")
"""What stands on an order's way behind the API."""
MIDDLE: Final = (0.2, 0.8)
"""Kills fall between these parts of the orders: work is under way before and after."""
BACK_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Kill:
    """SIGKILL `name` when `after_orders` orders were placed; `feed` means its owner then."""

    name: str
    after_orders: int


@dataclass(frozen=True, slots=True)
class Killed:
    """A kill and what was seen of it: the process before and after, None if it never came back."""

    kill: Kill
    before: ProcessRow
    after: ProcessRow | None

    @property
    def happened(self) -> bool:
        """True if the process died and another one of its name took over."""
        after, before = self.after, self.before
        return (
            after is not None
            and before.pid is not None
            and after.pid != before.pid
            and after.restarts > before.restarts
        )


def planned_kills(names: Sequence[str], orders: int, chance: random.Random) -> list[Kill]:
    """Spread one kill of each name over the middle of `orders`, in a drawn order."""
    first, last = (int(part * orders) for part in MIDDLE)
    shuffled = [_process_name(name) for name in names]
    chance.shuffle(shuffled)
    step = (last - first) / max(1, len(shuffled))
    return [
        Kill(name, first + int(step * (index + chance.random())))
        for index, name in enumerate(shuffled)
    ]


def _process_name(name: str) -> str:
    """Order workers are numbered; `orders` means the first."""
    return "orders-1" if name == "orders" else name


async def carry_out(target: Target, kill: Kill) -> Killed:
    """Kill the process and wait until another one of its name is well.

    Raises `StackError` if no copy owns the work for `BACK_SECONDS`.
    """
    name = await _victim(target, kill.name)
    before = row_of(target, name)
    target.kill(name)
    try:
        async with asyncio.timeout(BACK_SECONDS):
            while True:
                killed = Killed(kill, before, row_of(target, name))
                if killed.happened and killed.after is not None and killed.after.is_well:
                    return killed
                await asyncio.sleep(0.05)
    except TimeoutError:
        return Killed(kill, before, None)


async def _victim(target: Target, name: str) -> str:
    """Of several copies the owner, as soon as there is one: for a moment there may be none."""
    deadline = time.monotonic() + BACK_SECONDS
    while True:
        try:
            return await target.meant_by(name)
        except StackError:
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(0.05)
