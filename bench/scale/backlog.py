"""The figure that KEDA's scaler `temporal` hands to the autoscaler, asked for in the same way."""

from collections.abc import Sequence
from typing import Final

from temporalio.api.enums.v1 import TaskQueueKind, TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client

QUEUE_TYPES: Final = (
    TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
    TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
)


async def backlog_of(
    client: Client, task_queue: str, types: Sequence["TaskQueueType.ValueType"] = QUEUE_TYPES
) -> int:
    """Tasks that wait for any worker, of all types together; those of unversioned workers, as KEDA
    counts them without a `workerDeploymentName`.

    A task that a worker was waiting for never was in it, nor is one that only the worker which
    knows its order may have. Raises RPCError.
    """
    total = 0
    for queue_type in types:
        answer = await client.workflow_service.describe_task_queue(
            DescribeTaskQueueRequest(
                namespace=client.namespace,
                task_queue=TaskQueue(name=task_queue, kind=TaskQueueKind.TASK_QUEUE_KIND_NORMAL),
                task_queue_type=queue_type,
                report_stats=True,
            )
        )
        total += answer.stats.approximate_backlog_count
    return total
