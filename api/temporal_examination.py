"""Temporal as `sherwood doctor` sees it: the server, the namespace, and who works for us there."""

import asyncio
import re
from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import (
    DescribeNamespaceRequest,
    DescribeTaskQueueRequest,
    GetSystemInfoRequest,
    ListTaskQueuePartitionsRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from brokerage.contracts.findings import Finding, unknown, well, wrong
from brokerage.contracts.ids import ORDERS_TASK_QUEUE
from workflows.client import connect_temporal
from workflows.labels import SEARCH_ATTRIBUTES

Answer = TypeVar("Answer")

TIMEOUT_SECONDS: Final = 5.0
OLDEST_SERVER: Final = (1, 31)
DAY: Final = timedelta(days=1)
POLL: Final = timedelta(minutes=2)
"""A poll waits a minute at most: who was not seen for two has gone."""
POLL_RATE: Final = unknown(
    "temporal-poll-rate",
    "the server tells nobody its dynamic configuration",
    "see that history.transferProcessorMaxPollRPS is 1000 (20 by default: 22 orders a second)",
)


async def examine_temporal(address: str, namespace: str) -> list[Finding]:
    """Look at Temporal through a client of its own."""
    try:
        client = await connect_temporal(address, namespace, lazy=True)
        info = await _asked(client.workflow_service.get_system_info(GetSystemInfoRequest()))
        findings = [
            well("temporal-reachable", f"answers at {address}"),
            judge_version(info.server_version),
        ]
        findings += await _examine_namespace(client, namespace)
    except (RPCError, RuntimeError, TimeoutError) as error:
        mend = "start Temporal, or correct SHERWOOD_TEMPORAL_ADDRESS; pending orders go on then"
        return [wrong("temporal-reachable", f"no answer: {error!r}", mend)]
    return [*findings, POLL_RATE]


def judge_version(version: str) -> Finding:
    """Whether the server's version is one that update-with-start is known to work with."""
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
    if numbers >= OLDEST_SERVER:
        return well("temporal-version", f"server {version}")
    oldest = ".".join(map(str, OLDEST_SERVER))
    return wrong("temporal-version", f"server {version}", f"upgrade it to {oldest} or newer")


async def _examine_namespace(client: Client, namespace: str) -> list[Finding]:
    try:
        described = await _asked(
            client.workflow_service.describe_namespace(
                DescribeNamespaceRequest(namespace=namespace)
            )
        )
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        mend = (
            f"`temporal operator namespace create --namespace {namespace}`, or correct "
            "SHERWOOD_TEMPORAL_NAMESPACE"
        )
        return [wrong("temporal-namespace", f"there is no namespace {namespace}", mend)]
    retention = described.config.workflow_execution_retention_ttl.ToTimedelta()
    return [
        well(
            "temporal-namespace",
            f"{namespace}, runs that ended are kept for {retention / DAY:g} days",
        ),
        await _search_attributes(client),
        *await _task_queue(client),
    ]


async def _search_attributes(client: Client) -> Finding:
    known = await _asked(
        client.operator_service.list_search_attributes(
            ListSearchAttributesRequest(namespace=client.namespace)
        )
    )
    missing = sorted(
        key.name for key in SEARCH_ATTRIBUTES if key.name not in known.custom_attributes
    )
    if missing:
        mend = "restart an order worker, which adds them: without, no order can start"
        return wrong("temporal-search-attributes", f"missing: {', '.join(missing)}", mend)
    return well("temporal-search-attributes", f"all {len(SEARCH_ATTRIBUTES)} are there")


async def _task_queue(client: Client) -> list[Finding]:
    queue = TaskQueue(name=ORDERS_TASK_QUEUE)
    described = await _asked(
        client.workflow_service.describe_task_queue(
            DescribeTaskQueueRequest(
                namespace=client.namespace,
                task_queue=queue,
                task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
            )
        )
    )
    since = datetime.now(UTC) - POLL
    workers = {
        poller.identity
        for poller in described.pollers
        if poller.last_access_time.ToDatetime(tzinfo=UTC) > since
    }
    listed = await _asked(
        client.workflow_service.list_task_queue_partitions(
            ListTaskQueuePartitionsRequest(namespace=client.namespace, task_queue=queue)
        )
    )
    partitions = len(listed.workflow_task_queue_partitions)
    return [judge_workers(len(workers)), judge_partitions(partitions, len(workers))]


def judge_workers(workers: int) -> Finding:
    """Whether anybody carries orders on."""
    if workers:
        return well("temporal-workers", f"polling `{ORDERS_TASK_QUEUE}`: {workers}")
    mend = "start order workers (`python -m workers.orders`); orders are answered 202 until then"
    return wrong("temporal-workers", f"nobody polls `{ORDERS_TASK_QUEUE}`", mend)


def judge_partitions(partitions: int, workers: int) -> Finding:
    """A partition that no worker polls hands its tasks on to another, 100 ms later."""
    found = f"partitions: {partitions}, workers: {workers}"
    if partitions <= max(1, workers):
        return well("temporal-partitions", found)
    mend = (
        "lower matching.numTaskqueueReadPartitions and WritePartitions (1 on one machine), or "
        "start more workers"
    )
    return wrong("temporal-partitions", found, mend)


async def _asked(call: Awaitable[Answer]) -> Answer:
    async with asyncio.timeout(TIMEOUT_SECONDS):
        return await call
