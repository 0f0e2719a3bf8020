"""Open and closed loops, and what they measure. They know nothing of what is asked."""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from bench.figures import percentile

ANSWER_SECONDS: Final = 15.0
"""A request without an answer for this long counts as an error."""

Ask = Callable[[int], Awaitable[str]]
"""Asks once, with a number that counts up from 0, and says how it ended (`201`, `timeout`)."""


class Samples(msgspec.Struct):
    """What a loop saw. A latency counts from when the request was due, not from when it left."""

    seconds: float
    latencies_ms: list[float]
    endings: dict[str, int]

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.latencies_ms) / self.seconds if self.seconds else 0.0

    def percentile_ms(self, percent: float) -> float:
        """The latency that `percent` of the answers did not exceed (nearest rank)."""
        return percentile(sorted(self.latencies_ms), percent)


class _Recorder:
    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self.latencies_ms: list[float] = []
        self.endings: Counter[str] = Counter()

    async def once(self, number: int, due: float) -> None:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                ending = await self._ask(number)
        except TimeoutError:
            ending = "timeout"
        self.latencies_ms.append((time.perf_counter() - due) * 1000)
        self.endings[ending] += 1

    def samples(self, began: float) -> Samples:
        return Samples(time.perf_counter() - began, self.latencies_ms, dict(self.endings))


async def closed_loop(ask: Ask, clients: int, seconds: float) -> Samples:
    """Let `clients` ask for `seconds`, each again as soon as it has its answer."""
    recorder = _Recorder(ask)
    numbers = itertools.count()
    began = time.perf_counter()

    async def client() -> None:
        while (now := time.perf_counter()) - began < seconds:
            await recorder.once(next(numbers), now)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(clients):
            tasks.create_task(client())
    return recorder.samples(began)


async def open_loop(ask: Ask, rate: float, seconds: float) -> Samples:
    """Ask `rate` times a second, evenly, however long the answers take."""
    recorder = _Recorder(ask)
    began = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for number in range(int(rate * seconds)):
            due = began + number / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            tasks.create_task(recorder.once(number, due))
    return recorder.samples(began)
