"""How a process reaches Temporal: the same in the API, the workers and the executions process."""

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import (
    AddSearchAttributesRequest,
    ListSearchAttributesRequest,
)
from temporalio.client import Client, WithStartWorkflowOperation
from temporalio.service import GrpcCompression, RPCError, RPCStatusCode

from workflows.converter import DATA_CONVERTER
from workflows.labels import SEARCH_ATTRIBUTES
from workflows.tracing import tracing_interceptors

CONNECT_TIMEOUT: Final = timedelta(seconds=2)


async def connect_temporal(address: str, namespace: str, *, lazy: bool = False) -> Client:
    """A client of this namespace; raises RuntimeError when nobody listens there.

    A `lazy` one connects with its first call, so that a process can start before Temporal; the SDK
    takes no lazy client for a worker.
    """
    return await Client.connect(
        address,
        namespace=namespace,
        lazy=lazy,
        connect_timeout=CONNECT_TIMEOUT,
        data_converter=DATA_CONVERTER,
        interceptors=tracing_interceptors(),
        # Our messages are two kilobytes: packing them costs more than sending them.
        grpc_compression=GrpcCompression.NONE,
    )


async def ensure_search_attributes(client: Client) -> None:
    """Make the namespace know what orders are found by; safe to repeat, also at once.

    A server that does not know them refuses to start an order. Raises RPCError.
    """
    known = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=client.namespace)
    )
    missing = {
        key.name: IndexedValueType.ValueType(key.indexed_value_type)
        for key in SEARCH_ATTRIBUTES
        if key.name not in known.custom_attributes
    }
    if not missing:
        return
    try:
        await client.operator_service.add_search_attributes(
            AddSearchAttributesRequest(namespace=client.namespace, search_attributes=missing)
        )
    except RPCError as error:
        if error.status is not RPCStatusCode.ALREADY_EXISTS:
            raise


async def forget(operation: WithStartWorkflowOperation[Any, Any]) -> None:
    """Read the failure that a failed operation keeps for its handle, if it keeps one.

    Unread, asyncio complains of it. A call that failed before it left has put nothing there, and
    would be waited for without end: hence the deadline. A failure that is there needs no time.
    """
    with suppress(Exception, asyncio.CancelledError):
        async with asyncio.timeout(0):
            await operation.workflow_handle()
