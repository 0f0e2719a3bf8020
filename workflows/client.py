"""How a process reaches Temporal: the same in the API, the workers and the executions process."""

from datetime import timedelta

from temporalio.client import Client

CONNECT_TIMEOUT = timedelta(seconds=2)


async def connect_temporal(address: str, namespace: str, *, identity: str | None = None) -> Client:
    """A client that connects with its first call, so that a process can start before Temporal.

    A worker cannot be made with it before `await client.service_client.connect()`.
    """
    return await Client.connect(
        address, namespace=namespace, identity=identity, lazy=True, connect_timeout=CONNECT_TIMEOUT
    )
