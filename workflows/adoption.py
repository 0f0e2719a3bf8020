"""How a run is started that takes over an order from its row, whoever starts it."""

from datetime import timedelta

from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy

from brokerage.contracts.ids import ORDERS_TASK_QUEUE, workflow_id_for
from brokerage.domain.orders import Order
from workflows.labels import Labels, labels
from workflows.policies import WORKFLOW_TASK_TIMEOUT


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
