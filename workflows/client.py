"""How a process reaches Temporal: the same in the API, the workers and the executions process."""

from datetime import timedelta

from temporalio.client import Client
from temporalio.service import GrpcCompression

from workflows.converter import DATA_CONVERTER

CONNECT_TIMEOUT = timedelta(seconds=2)


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
        # Our messages are two kilobytes: packing them costs more than sending them.
        grpc_compression=GrpcCompression.NONE,
    )
