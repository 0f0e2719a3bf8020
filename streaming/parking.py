"""What brings parked reports back: the notice of their order's id, and a look now and then.

A notice is lost when nobody was connected, so every few seconds all that is parked is tried again.
"""

import asyncio
import random
from typing import Final

import structlog

from brokerage.bus.connection import BusUnavailable
from brokerage.bus.executions import Parking
from streaming.execution_metrics import DEAD_LETTERS, PARKED
from streaming.executions import Executions
from streaming.order_workflows import TOGETHER_MAX

log = structlog.get_logger()

LOOK_SECONDS: Final = 5.0
ASKED_MAX: Final = 20
"""Orders about which the exchange is asked in one look; the others are only looked up here."""


class ParkedOrders:
    """The exchange's ids for which this process knows something to be parked."""

    def __init__(self) -> None:
        self.ids: set[str] = set()
        self.late: list[str] = []
        self.released = asyncio.Event()

    def add(self, external_order_id: str, noticed: bool) -> None:
        """Remember the order; `noticed`: its route is there already, so it is due now."""
        self.ids.add(external_order_id)
        if noticed:
            self.due(external_order_id)

    def due(self, external_order_id: str) -> None:
        """Have the order released at once."""
        self.late.append(external_order_id)
        self.released.set()


class Release:
    """Hands parked reports back to `executions`."""

    def __init__(
        self,
        parking: Parking,
        executions: Executions,
        parked: ParkedOrders,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        self._parking = parking
        self._executions = executions
        self._parked = parked
        self._look_seconds = look_seconds

    async def noticed(self, subject: str, payload: bytes) -> None:
        """Handle the notice that an id was written down."""
        external_order_id = subject.partition(".")[2]
        if not self._executions.notice(external_order_id) and external_order_id in self._parked.ids:
            self._parked.due(external_order_id)

    async def run(self) -> None:
        """Release what is due, and look at all of it every few seconds; runs until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            # A look that fails ends the whole: nobody would catch a lost notice any more.
            tasks.create_task(self._look_for_ever())
            tasks.create_task(self._release_due())

    async def look(self) -> None:
        """Try everything that is parked once."""
        before = set(self._parked.ids)
        try:
            external_order_ids = await self._parking.external_order_ids()
            DEAD_LETTERS.set(await self._parking.buried())
        except BusUnavailable as error:
            log.warning("parked_not_seen", error=str(error))
            return
        # What was parked meanwhile may not be among those yet.
        self._parked.ids = {*external_order_ids, *(self._parked.ids - before)}
        PARKED.set(len(external_order_ids))
        # In any order, so that the same few are not asked about every time.
        random.shuffle(external_order_ids)
        for position, external_order_id in enumerate(external_order_ids):
            await self._release(external_order_id, ask=position < ASKED_MAX)

    async def _release_due(self) -> None:
        while True:
            await self._parked.released.wait()
            self._parked.released.clear()
            due, self._parked.late = self._parked.late, []
            for external_order_id in due:
                await self._release(external_order_id, ask=True)

    async def _look_for_ever(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(self._look_seconds * random.uniform(0.8, 1.2))

    async def _release(self, external_order_id: str, *, ask: bool) -> None:
        if self._executions.busy(external_order_id):
            return
        # Forgotten before it is looked for: what is parked from now on is remembered by that.
        self._parked.ids.discard(external_order_id)
        try:
            deliveries = await self._parking.of(external_order_id, TOGETHER_MAX)
        except BusUnavailable as error:
            log.warning("parked_not_read", external_order_id=external_order_id, error=str(error))
            self._parked.ids.add(external_order_id)
            return
        if deliveries:
            self._parked.ids.add(external_order_id)
        for delivery in deliveries:
            await self._executions.take(delivery, ask=ask)
