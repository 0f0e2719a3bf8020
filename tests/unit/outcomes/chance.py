"""What a seed decides, and the record of it."""

import asyncio
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

TRACE_MAX: Final = 2_000


class GoesOnForEver(BaseException):
    """Something is tried again and again, without a pause; the message is how it began."""


@dataclass
class Chance:
    """One seed's decisions.

    Faults strike until `calm_at` (seconds of the loop), then never more; `rates` says how often one
    strikes each kind of place, from 0 to 1. What is late likes to come about one of the `moments`:
    there the rules change.
    """

    random: random.Random
    rates: Mapping[str, float]
    calm_at: float
    moments: tuple[float, ...] = ()
    fired: Counter[str] = field(default_factory=Counter)
    trace: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def note(self, what: str) -> None:
        """Put a line into the trace of this seed; a story that goes on for ever is cut short."""
        if len(self.trace) > TRACE_MAX:
            raise GoesOnForEver("\n".join(self.trace[:50]))
        self.trace.append(f"{asyncio.get_running_loop().time():8.3f}  {what}")

    def promise_broken(self, what: str) -> None:
        """Something happened that must never happen."""
        self.note(f"BROKEN: {what}")
        self.broken.append(what)

    def fate(self, place: str, faults: Mapping[str, float]) -> str:
        """`well`, or which of these faults strikes here, by their weights.

        The first word of `place` is its kind.
        """
        if asyncio.get_running_loop().time() >= self.calm_at:
            return "well"
        if self.random.random() >= self.rates[place.partition(" ")[0]]:
            return "well"
        fault = self.random.choices(list(faults), list(faults.values()))[0]
        self.fired[f"{place}: {fault}"] += 1
        self.note(f"{place}: {fault}")
        return fault

    def seconds(self, low: float, high: float) -> float:
        """Some time in between."""
        return self.random.uniform(low, high)

    def late_seconds(self, low: float, high: float) -> float:
        """The same, often so that it ends about one of the moments."""
        now = asyncio.get_running_loop().time()
        near = [at - now for at in self.moments if low < at - now < high]
        if near and self.random.random() < 0.4:
            return self.random.choice(near) + self.random.uniform(-0.4, 0.1)
        return self.random.uniform(low, high)

    async def passes(self, low: float = 0.001, high: float = 0.02) -> None:
        """Let the time pass that a network takes."""
        await asyncio.sleep(self.random.uniform(low, high))
