"""Who runs on which core: the measured server alone on one, all else on the others."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil


@dataclass(frozen=True, slots=True)
class Cores:
    """The server's core and those of all else; None where they cannot be kept apart."""

    server: int | None
    others: frozenset[int]

    def describe(self) -> str:
        """Say it in words."""
        if self.server is None:
            return "not kept apart: this machine has one core, or does not let processes choose"
        others = ", ".join(str(core) for core in sorted(self.others))
        return f"the server alone on core {self.server}, all else on {others}"


def chosen_cores() -> Cores:
    """Return how this machine's cores are shared out."""
    if sys.platform != "linux":
        return Cores(None, frozenset())
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        return Cores(None, frozenset(allowed))
    return Cores(allowed[0], frozenset(allowed[1:]))


@contextmanager
def on(cores: frozenset[int]) -> Iterator[None]:
    """Run this thread, and what it starts in the block, on these cores; of none: as before."""
    if sys.platform != "linux" or not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class CoreWatch:
    """How busy one core was since this was made, whoever was on it."""

    def __init__(self, core: int | None) -> None:
        self._core = core
        self._before = self._seconds()

    def busy_seconds(self) -> float:
        """Return the seconds it did not idle; 0 without a core."""
        return self._seconds() - self._before

    def _seconds(self) -> float:
        if self._core is None:
            return 0.0
        times = psutil.cpu_times(percpu=True)[self._core]
        idle = times.idle + getattr(times, "iowait", 0.0)
        return float(sum(times[:8]) - idle)
