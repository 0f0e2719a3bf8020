"""Fetching reports, no more at a time than can be held."""

import asyncio
import random
from typing import Final

import structlog

from brokerage.bus.connection import BusUnavailable
from brokerage.bus.executions import ExecutionReader
from streaming.executions import Executions

log = structlog.get_logger()

HELD_MAX: Final = 1_000
"""Half of what all processes may hold together, so that a slow one does not starve the others."""
FETCH_MAX: Final = 256
FULL_SECONDS: Final = 0.02
RETRY_SECONDS: Final = 1.0


async def fetch_reports(
    reader: ExecutionReader, executions: Executions, stopping: asyncio.Event
) -> None:
    """Hand every report to `executions` until `stopping` is set."""
    while not stopping.is_set():
        room = min(HELD_MAX - executions.held, FETCH_MAX)
        if room <= 0:
            await asyncio.sleep(FULL_SECONDS)
            continue
        try:
            deliveries = await reader.fetch(room)
        except BusUnavailable as error:
            log.warning("executions_not_fetched", error=str(error))
            await asyncio.sleep(RETRY_SECONDS * random.uniform(0.5, 1.0))
            continue
        for delivery in deliveries:
            await executions.take(delivery)
    await reader.close()
