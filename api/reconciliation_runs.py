"""Starting a reconciliation on demand."""

from datetime import timedelta
from typing import Final

import structlog
from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.service import RPCError

from api.errors import ProblemError
from brokerage.contracts.ids import ORDERS_TASK_QUEUE, RECONCILIATION_ON_DEMAND_ID
from brokerage.contracts.reconciliation import StartReconciliation
from workflows.reconciliation import ReconciliationWorkflow

log = structlog.get_logger()

START_TIMEOUT: Final = timedelta(seconds=3)


class ReconciliationRuns:
    """One run at a time: who asks while one is under way is given that one."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def start(self, operator: str, reason: str) -> str:
        """The id of the run. Raises `ProblemError` unavailable while Temporal is away."""
        try:
            handle = await self._client.start_workflow(
                ReconciliationWorkflow.run,
                StartReconciliation(operator, reason),
                id=RECONCILIATION_ON_DEMAND_ID,
                task_queue=ORDERS_TASK_QUEUE,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                static_summary=f"asked for by {operator}: {reason}"[:200],
                rpc_timeout=START_TIMEOUT,
            )
            # Of one that was joined and went on as new, the report has the first run's id.
            description = await handle.describe(rpc_timeout=START_TIMEOUT)
        except (RPCError, RuntimeError) as error:
            # RuntimeError is how the SDK says that its first connection failed.
            log.warning("reconciliation_not_started", cause=repr(error))
            raise ProblemError("unavailable", "the workflows cannot be reached") from error
        return description.raw_description.workflow_execution_info.first_run_id
