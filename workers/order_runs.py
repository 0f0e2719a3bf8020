"""Seeing to it that an order has a run, and telling that run what it missed.

For those who find out late: the sweep, and reconciliation. Everything goes through the updates that
the feed and the customer use, so the order's own workflow remains the only one that moves it.
"""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Any, Final

from temporalio.client import (
    Client,
    WorkflowExecutionStatus,
    WorkflowUpdateFailedError,
)
from temporalio.service import RPCError, RPCStatusCode

from brokerage.bus.connection import Bus
from brokerage.bus.kill_switch import SwitchAbsent, read_switch
from brokerage.contracts.commands import CancelOrder, OrderKey, adopt_order
from brokerage.contracts.events import ExecutionReport
from brokerage.contracts.ids import workflow_id_for
from brokerage.contracts.kill_switch import PAUSE_EXECUTIONS
from brokerage.domain.orders import Order
from brokerage.storage.pool import Pool
from brokerage.storage.reads import Route, order_of_user
from streaming.order_workflows import TOGETHER_MAX, NotTold, OrderWorkflows
from workflows.adoption import adoption, update_adopted
from workflows.order import OrderWorkflow

CALL_TIMEOUT: Final = timedelta(seconds=5)
BY_RECONCILIATION: Final = CancelOrder("reconciliation")
"""The actor of a cancel that no customer asked for."""
NO_ROW: Final = "no such order here"
NOT_TOLD_ANY_MORE: Final = "the exchange does not state it any more"
HELD_BACK: Final = "executions are held back by the kill switch"


async def ensure_run(client: Client, order: Order) -> None:
    """Have a run that adopts the row take over, unless one is there. Raises `RPCError`."""
    await client.start_workflow(
        OrderWorkflow.run,
        adopt_order(order.order_id, order.user_id),
        **adoption(order),
        rpc_timeout=CALL_TIMEOUT,
    )


class OrderRuns:
    """The workflows of orders, as reconciliation and the dead-man switch ask them. What cannot be
    done is said in words: the next look shows whether it helped.
    """

    def __init__(self, client: Client, pool: "Pool[Any]", bus: Bus) -> None:
        self._client = client
        self._bus = bus
        self._order_of = partial(order_of_user, pool)
        self._workflows = OrderWorkflows(client, self._order_of)

    async def is_running(self, order_id: str) -> bool:
        """Whether the order has a run. Raises `RPCError` where Temporal does not say."""
        handle = self._client.get_workflow_handle(workflow_id_for(order_id))
        try:
            description = await handle.describe(rpc_timeout=CALL_TIMEOUT)
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return False
            raise
        return description.status is WorkflowExecutionStatus.RUNNING

    async def tell(self, order: OrderKey, reports: Sequence[ExecutionReport]) -> str:
        """Have the order book these reports; a run that has ended is opened again.

        Unless executions are held back: what the feed may not book, nobody may. Raises
        `BusUnavailable` where that is not known.
        """
        if not reports:
            return NOT_TOLD_ANY_MORE
        if await self._held_back(order.user_id, reports[0].symbol):
            return HELD_BACK
        settled: set[str] = set()
        route = Route(order.order_id, order.user_id)
        try:
            for first in range(0, len(reports), TOGETHER_MAX):
                together = reports[first : first + TOGETHER_MAX]
                settled |= await self._workflows.fill(route, together)
        except NotTold as error:
            return f"{len(settled)} of {len(reports)} reports booked: {error.cause}"
        return f"{len(settled)} of {len(reports)} reports booked"

    async def _held_back(self, user_id: str, symbol: str) -> bool:
        try:
            switches = await read_switch(self._bus)
        except SwitchAbsent:
            return False
        return switches.level(user_id, symbol) >= PAUSE_EXECUTIONS

    async def cancel(self, order: OrderKey, wish: CancelOrder = BY_RECONCILIATION) -> str:
        """Have the order ask the exchange for its end. Raises `DatabaseUnavailable`."""
        row = await self._order_of(order.user_id, order.order_id)
        if row is None:
            return NO_ROW
        try:
            async with asyncio.timeout(CALL_TIMEOUT.total_seconds()):
                await update_adopted(self._client, row, "cancel", wish)
        except (TimeoutError, RPCError, WorkflowUpdateFailedError) as error:
            return f"cancel not recorded: {error!r}"[:200]
        return "cancel recorded"

    async def wake(self, order: OrderKey) -> str:
        """See that the order has a run. Raises `DatabaseUnavailable`."""
        row = await self._order_of(order.user_id, order.order_id)
        if row is None:
            return NO_ROW
        try:
            await ensure_run(self._client, row)
        except RPCError as error:
            return f"not woken: {error.status.name.lower()}"
        return "a run has taken it over"
