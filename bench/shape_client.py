"""Drives the bare workflow as the API and the executions process drive ours."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, Self
from uuid import uuid4

from temporalio.client import Client, WithStartWorkflowOperation
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.service import RPCError

from bench.shapes import BARE_TASK_QUEUE, BareOrder
from brokerage.contracts.commands import StartOrder
from brokerage.contracts.events import ExecutionReport
from workflows.client import connect_temporal
from workflows.labels import labels
from workflows.policies import WORKFLOW_TASK_TIMEOUT

FILLS_AT_ONCE: Final = 16
"""More unsettled orders than this, and the next one waits: a lag of the fills would flatter."""


class BareOrders:
    """Starts a workflow, waits for its first answer, and fills it in the background."""

    def __init__(self, client: Client, fills: asyncio.TaskGroup) -> None:
        self._client = client
        self._fills = fills
        self._room = asyncio.Semaphore(FILLS_AT_ONCE)
        self.workflow_ids: list[str] = []

    @classmethod
    @asynccontextmanager
    async def connected(cls, address: str) -> AsyncIterator[Self]:
        """Connect; all fills are delivered on the way out."""
        client = await connect_temporal(address, "default")
        async with asyncio.TaskGroup() as fills:
            yield cls(client, fills)

    async def ask(self, number: int) -> str:
        """One order; the options of its start are those the API gives an order of ours."""
        await self._room.acquire()
        order_id = str(uuid4())
        start = StartOrder(
            order_id=order_id,
            user_id=f"user-{number % 50}",
            symbol="SPY",
            side="buy",
            shares=1,
            idempotency_key=str(uuid4()),
            claimed_at_ms=1_790_000_000_000,
            last_price_cents=16_741,
            address="127.0.0.1",
        )
        operation = WithStartWorkflowOperation(
            BareOrder.run,
            start,
            id=f"bare-{order_id}",
            task_queue=BARE_TASK_QUEUE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            task_timeout=WORKFLOW_TASK_TIMEOUT,
            **labels(start),
        )
        try:
            await self._client.execute_update_with_start_workflow(
                BareOrder.placed, id="placed", start_workflow_operation=operation
            )
        except RPCError as error:
            self._room.release()
            return str(error.status)
        self.workflow_ids.append(f"bare-{order_id}")
        self._fills.create_task(self._fill(order_id))
        return "201"

    async def _fill(self, order_id: str) -> None:
        try:
            handle = self._client.get_workflow_handle_for(BareOrder.run, f"bare-{order_id}")
            report = ExecutionReport(
                report_id=f"E{order_id}",
                kind="fill",
                external_order_id=order_id,
                feed_seq=1,
                symbol="SPY",
                shares=1,
                price_cents=16_741,
                cumulative_shares=1,
                at_ms=1_790_000_000_000,
            )
            await handle.execute_update(BareOrder.fill, [report], id=f"fill-{order_id}")
        finally:
            self._room.release()
