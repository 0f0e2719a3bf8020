"""The end of every run that knows more than the rows do."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Final

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from brokerage.contracts.ids import workflow_id_for
from brokerage.storage.pool import Pool
from brokerage.storage.recovery_reads import newest_order_at
from workflows.labels import USER_ID

IN_FLIGHT: Final = timedelta(minutes=1)
"""A run that began this long before the newest row may still have had none."""
REASON: Final = "Postgres was restored; the run starts again from its row"


async def end_runs(pool: "Pool[Any]", client: Client) -> tuple[dict[str, str], int]:
    """Terminate every run of an order. Returns the user of each order, by id, whose run is newer
    than the rows, as the run names him; and how many were terminated. Raises RPCError.
    """
    newest = await newest_order_at(pool)
    query = "WorkflowType = 'OrderWorkflow'"
    if newest is not None:
        since = (newest - IN_FLIGHT).isoformat(timespec="seconds")
        query += f" AND (ExecutionStatus = 'Running' OR StartTime >= '{since}')"
    users: dict[str, str] = {}
    terminated = 0
    async for run in client.list_workflows(query):
        user_id = run.typed_search_attributes.get(USER_ID)
        if user_id is not None and (newest is None or run.start_time >= newest - IN_FLIGHT):
            users[run.id.removeprefix(workflow_id_for(""))] = user_id
        if run.status is WorkflowExecutionStatus.RUNNING:
            terminated += await _terminate(client, run.id)
    return users, terminated


async def forget_runs(client: Client, order_ids: Iterable[str]) -> int:
    """Remove what Temporal keeps of orders that are on no record any more: their keys could not be
    used again. Returns how many there were. Raises RPCError.
    """
    removed = 0
    for order_id in order_ids:
        execution = WorkflowExecution(workflow_id=workflow_id_for(order_id))
        request = DeleteWorkflowExecutionRequest(
            namespace=client.namespace, workflow_execution=execution
        )
        try:
            await client.workflow_service.delete_workflow_execution(request)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
        else:
            removed += 1
    return removed


async def _terminate(client: Client, workflow_id: str) -> bool:
    try:
        await client.get_workflow_handle(workflow_id).terminate(reason=REASON)
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return False  # the list was a moment behind
    return True
