"""How a run is started that takes over an order from its row, whoever starts it."""

from datetime import timedelta
from typing import TypedDict

from temporalio.common import (
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)

from brokerage.contracts.ids import ORDERS_TASK_QUEUE, workflow_id_for
from workflows.client import SYMBOL, USER_ID
from workflows.policies import WORKFLOW_TASK_TIMEOUT


class Adoption(TypedDict):
    """The options of such a start."""

    id: str
    task_queue: str
    id_conflict_policy: WorkflowIDConflictPolicy
    id_reuse_policy: WorkflowIDReusePolicy
    task_timeout: timedelta
    search_attributes: TypedSearchAttributes


def adoption(order_id: str, user_id: str, symbol: str | None = None) -> Adoption:
    """A run that is there already goes on; one that has ended is in nobody's way.

    Never for placing: there, an id that was used is an order that was placed.
    """
    attributes = [SearchAttributePair(USER_ID, user_id)]
    if symbol is not None:
        attributes.append(SearchAttributePair(SYMBOL, symbol))
    return Adoption(
        id=workflow_id_for(order_id),
        task_queue=ORDERS_TASK_QUEUE,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
        task_timeout=WORKFLOW_TASK_TIMEOUT,
        search_attributes=TypedSearchAttributes(attributes),
    )
