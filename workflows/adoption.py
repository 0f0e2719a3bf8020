"""How a run is started that takes over an order from its row, whoever starts it."""

from datetime import timedelta
from typing import Any, Final

from temporalio.client import Client, WithStartWorkflowOperation
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy

from brokerage.contracts.commands import adopt_order
from brokerage.contracts.ids import ORDERS_TASK_QUEUE, workflow_id_for
from brokerage.domain.orders import Order
from workflows.client import forget
from workflows.labels import Labels, labels
from workflows.policies import WORKFLOW_TASK_TIMEOUT

WORKFLOW: Final = "OrderWorkflow"


class Adoption(Labels):
    """The options of such a start."""

    id: str
    task_queue: str
    id_conflict_policy: WorkflowIDConflictPolicy
    id_reuse_policy: WorkflowIDReusePolicy
    task_timeout: timedelta


def adoption(order: Order) -> Adoption:
    """A run that is there already goes on; one that has ended is in nobody's way.

    Never for placing: there, an id that was used is an order that was placed.
    """
    return Adoption(
        id=workflow_id_for(order.order_id),
        task_queue=ORDERS_TASK_QUEUE,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
        task_timeout=WORKFLOW_TASK_TIMEOUT,
        **labels(order),
    )


async def update_adopted(
    client: Client,
    order: Order,
    update: str,
    argument: object,
    *,
    update_id: str | None = None,
    result_type: type[Any] | None = None,
) -> Any:
    """The result of an update to the order's run, or to one that adopts the row if there is none.

    Raises what the client raises, after which the run may have heard.
    """
    operation: WithStartWorkflowOperation[Any, Any] = WithStartWorkflowOperation(
        WORKFLOW, adopt_order(order.order_id, order.user_id), **adoption(order)
    )
    try:
        return await client.execute_update_with_start_workflow(
            update,
            argument,
            start_workflow_operation=operation,
            id=update_id,
            result_type=result_type,
        )
    except BaseException:
        await forget(operation)
        raise
