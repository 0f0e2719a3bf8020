"""Fetching reports, no more at a time than can be held."""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from brokerage.bus.connection import BusUnavailable
from brokerage.bus.executions import ExecutionReader
from brokerage.runtime.backoff import Backoff
from streaming.execution_metrics import WAITING
from streaming.executions import Executions

log = structlog.get_logger()

HELD_MAX: Final = 1_000
"""Half of what all processes may hold together, so that a slow one does not starve the others."""
FETCH_MAX: Final = 256
FULL_SECONDS: Final = 0.02
AGAIN: Final = Backoff(0.25, 2.0)


async def fetch_reports(
    reader: ExecutionReader,
    executions: Executions,
    stopping: asyncio.Event,
    paused: Callable[[], bool] = lambda: False,
) -> None:
    """Hand every report to `executions` until `stopping` is set; none while `paused`."""
    failures = 0
    while not stopping.is_set():
        room = min(HELD_MAX - executions.held, FETCH_MAX)
        if room <= 0 or paused():
            await asyncio.sleep(FULL_SECONDS)
            continue
        try:
            deliveries = await reader.fetch(room)
        except BusUnavailable as error:
            log.warning("executions_not_fetched", error=str(error))
            failures += 1
            await asyncio.sleep(AGAIN.pause_seconds(failures))
            continue
        failures = 0
        WAITING.set(reader.waiting)
        for delivery in deliveries:
            await executions.take(delivery)
    await reader.close()
