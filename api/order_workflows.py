"""What the API asks of an order's workflow, and the few answers it can get in time."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC
from typing import Final, Literal

import structlog
from temporalio.client import (
    Client,
    WithStartWorkflowOperation,
    WorkflowExecutionStatus,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from api.placement_metrics import show_under_way
from brokerage.contracts.commands import CancelOrder, Reply, StartOrder
from brokerage.contracts.ids import ORDERS_TASK_QUEUE, PLACED_UPDATE_ID, workflow_id_for
from brokerage.domain.next_act import Run
from brokerage.domain.orders import Order
from workflows.adoption import update_adopted
from workflows.client import forget
from workflows.labels import labels
from workflows.order import OrderWorkflow
from workflows.policies import WORKFLOW_TASK_TIMEOUT

log = structlog.get_logger()

PLACED_SECONDS: Final = 1.9
"""How long a placement is waited for; after that the row answers. The SDK's own timeout is for each
of its attempts, so this one is around all of them."""
CANCEL_SECONDS: Final = 1.5
"""One attempt to put a cancel on record, the wait for a place included."""
CANCELS_MAX: Final = 64
"""Cancels that one node asks for at once. They wait for each other and never for placements: when
there is too much of everything, what lowers the risk goes first.
"""
DESCRIBE_SECONDS: Final = 2.0

CancelAnswer = Literal["recorded", "declined", "no-workflow", "unreached"]


NO_ANSWER: Final = (
    TimeoutError,
    RPCError,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
    # How the SDK says that its first connection failed; it has no narrower type for it.
    RuntimeError,
)


class OrderWorkflows:
    """Starts and asks the workflows of orders. Nothing here raises for a Temporal that is away."""

    def __init__(self, client: Client, placements_max: int = 64) -> None:
        self._client = client
        self._placements_max = placements_max
        self._placing = 0
        self._cancelling = asyncio.Semaphore(CANCELS_MAX)
        show_under_way(lambda: self._placing, placements_max)

    @property
    def has_room(self) -> bool:
        """False while as many placements are under way as may be."""
        return self._placing < self._placements_max

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """Count one placement, from its claim to its answer."""
        self._placing += 1
        try:
            yield
        finally:
            self._placing -= 1

    async def place(self, start: StartOrder) -> Reply | None:
        """Start the order, or join the one that has the id; its first reply.

        None when there is no reply (yet): the outcome is open, or Temporal did not answer, or the
        order's workflow ended long ago. The row tells which.
        """
        operation = WithStartWorkflowOperation(
            OrderWorkflow.run,
            start,
            id=workflow_id_for(start.order_id),
            task_queue=ORDERS_TASK_QUEUE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            task_timeout=WORKFLOW_TASK_TIMEOUT,
            **labels(start),
        )
        try:
            async with asyncio.timeout(PLACED_SECONDS):
                return await self._client.execute_update_with_start_workflow(
                    OrderWorkflow.placed, id=PLACED_UPDATE_ID, start_workflow_operation=operation
                )
        except (*NO_ANSWER, WorkflowAlreadyStartedError) as error:
            log.info("placed_without_reply", order_id=start.order_id, cause=repr(error))
            await forget(operation)
            return None

    async def cancel(self, order_id: str, command: CancelOrder) -> CancelAnswer:
        """Record the wish to cancel.

        `recorded`: it is on record. `declined`: a cancel is under way, or the order has ended.
        `no-workflow`: nobody runs the order. `unreached`: no answer in time, it may be recorded.
        """
        handle = self._client.get_workflow_handle_for(OrderWorkflow.run, workflow_id_for(order_id))
        try:
            async with asyncio.timeout(CANCEL_SECONDS), self._cancelling:
                await handle.execute_update(OrderWorkflow.cancel, command)
        except NO_ANSWER as error:
            return _cancel_answer(order_id, error)
        return "recorded"

    async def adopt_and_cancel(self, order: Order, command: CancelOrder) -> CancelAnswer:
        """The same for an open row that nobody runs: a run that adopts the row hears the wish."""
        try:
            async with asyncio.timeout(CANCEL_SECONDS), self._cancelling:
                await update_adopted(self._client, order, "cancel", command)
        except NO_ANSWER as error:
            return _cancel_answer(order.order_id, error)
        return "recorded"

    async def run_of(self, order_id: str) -> Run:
        """How the newest run of an order stands, as an operator asks it."""
        handle = self._client.get_workflow_handle(workflow_id_for(order_id))
        try:
            async with asyncio.timeout(DESCRIBE_SECONDS):
                described = await handle.describe()
        except RPCError as error:
            absent = error.status is RPCStatusCode.NOT_FOUND
            return Run("absent" if absent else "unreachable")
        except (TimeoutError, RuntimeError):
            return Run("unreachable")
        if described.status is not WorkflowExecutionStatus.RUNNING:
            return Run("ended")
        raw = described.raw_description
        failures = max(0, raw.pending_workflow_task.attempt - 1)
        # The one that failed most: what the order waits for.
        step = max(raw.pending_activities, key=lambda one: one.attempt, default=None)
        if step is None:
            return Run("running", failures)
        again_at = step.next_attempt_schedule_time
        return Run(
            "running",
            failures,
            step=step.activity_type.name,
            attempt=step.attempt,
            next_attempt_at=again_at.ToDatetime(UTC) if again_at.seconds else None,
            last_failure=step.last_failure.message or None,
        )


def _cancel_answer(order_id: str, error: Exception) -> CancelAnswer:
    log.info("cancel_not_recorded", order_id=order_id, cause=repr(error))
    if isinstance(error, WorkflowUpdateFailedError):
        return "declined"
    if isinstance(error, RPCError) and error.status is RPCStatusCode.NOT_FOUND:
        return "no-workflow"
    return "unreached"
