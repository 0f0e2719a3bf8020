"""Temporal's store was lost: everything it knew is in our rows, so it starts with an empty one."""

import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Final

from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest, RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from brokerage.runtime.settings import Settings
from workers.reconciling import ensure_schedule
from workers.recover.adopting import adopt_all
from workers.recover.preconditions import Reached, Refused, Tell
from workflows.client import ensure_search_attributes

RETENTION: Final = timedelta(days=7)
"""How long ended runs are kept for operators."""
NAMESPACE_SECONDS: Final = 30.0
"""Every part of a cluster learns of a new namespace within about ten."""


async def recover_temporal(settings: Settings, tell: Tell) -> None:
    """Namespace, search attributes and schedule again, and a run for every order that needs one.

    Everything else may run meanwhile. Raises `Refused`, `DatabaseUnavailable`.
    """
    async with AsyncExitStack() as stack:
        reached = Reached(settings, stack)
        client = await reached.temporal()
        pool = await reached.postgres()
        await _ensure_namespace(client, tell)
        await ensure_schedule(client)
        adopted = await adopt_all(pool, client, tell)
    there = adopted.orders - adopted.started
    tell(f"done: {adopted.started} runs started from their rows, {there} were there already")


async def _ensure_namespace(client: Client, tell: Tell) -> None:
    """Make the namespace if it is gone, and what orders are found by; return once all is known."""
    try:
        await client.workflow_service.describe_namespace(
            DescribeNamespaceRequest(namespace=client.namespace)
        )
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        wanted = RegisterNamespaceRequest(namespace=client.namespace)
        wanted.workflow_execution_retention_period.FromTimedelta(RETENTION)
        await client.workflow_service.register_namespace(wanted)
        tell(f"namespace {client.namespace} made anew")
    try:
        async with asyncio.timeout(NAMESPACE_SECONDS):
            await _search_attributes_known(client)
    except TimeoutError:
        raise Refused(f"namespace {client.namespace} does not become usable") from None
    tell(f"namespace {client.namespace} and its search attributes are there")


async def _search_attributes_known(client: Client) -> None:
    while True:
        try:
            await ensure_search_attributes(client)
        except RPCError:
            await asyncio.sleep(0.5)
        else:
            return
