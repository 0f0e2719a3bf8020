"""Ticks onto the bus: each once when it is due, and all of them again, slowly, as repair."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

import structlog

from brokerage.bus.connection import Bus, BusUnavailable
from streaming import feed_metrics
from streaming.ticks import SymbolDay, TickBoard

log = structlog.get_logger()

PACE_SECONDS: Final = 0.01
REPAIR_PASS_SECONDS: Final = 15.0
"""Every symbol is published again once in this time: a node that missed one catches up."""
REPAIR_STEP_SECONDS: Final = 0.25


class TickPublisher:
    """Publishes what the board has. No tick is ever waited for: a newer one replaces it.

    `owns` is asked before every tick: who lost the lease, perhaps while it was frozen, publishes
    nothing more.
    """

    def __init__(self, bus: Bus, board: TickBoard, owns: Callable[[], bool]) -> None:
        self._bus = bus
        self._board = board
        self._owns = owns
        self._waiting = asyncio.Event()

    async def flush(self) -> None:
        """Publish what is due now; `pace` sees to the rest."""
        await self._publish_due()
        if self._board.next_due() is not None:
            self._waiting.set()

    async def pace(self) -> None:
        """Publish what had to wait for its symbol's interval; runs for ever."""
        while True:
            due = self._board.next_due()
            if due is None:
                self._waiting.clear()
                await self._waiting.wait()
                continue
            await asyncio.sleep(min(PACE_SECONDS, max(0.0, due - time.monotonic())))
            await self._publish_due()

    async def repair(self) -> None:
        """Go round all symbols: heals a lost publish, and a last-value stream made anew."""
        pending: list[SymbolDay] = []
        step = 0
        while True:
            await asyncio.sleep(REPAIR_STEP_SECONDS)
            if not pending:
                pending = self._board.days()
                step = 1 + int(len(pending) * REPAIR_STEP_SECONDS / REPAIR_PASS_SECONDS)
            await self._publish(pending[:step])
            pending = pending[step:]

    async def publish_all(self) -> bool:
        """Publish every symbol that ever traded; false if some of them were not."""
        days = self._board.days()
        return await self._publish(days) == len(days)

    async def _publish_due(self) -> None:
        feed_metrics.TICKS.inc(await self._publish(self._board.due(time.monotonic())))

    async def _publish(self, days: list[SymbolDay]) -> int:
        # Without a link nothing is buffered: all symbols are published when it is back.
        if not self._bus.connected:
            return 0
        for sent, day in enumerate(days):
            if not self._owns():
                return sent
            try:
                await self._bus.publish(day.subject, self._board.encode(day))
            except BusUnavailable as error:
                log.warning("tick_not_published", symbol=day.symbol, error=str(error))
                return sent
        return len(days)
