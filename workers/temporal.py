"""The connection to Temporal's server."""

import asyncio
from typing import Final

import structlog
from temporalio.client import Client
from temporalio.service import RPCError

import workflows.client
from brokerage.runtime.backoff import Backoff
from brokerage.runtime.settings import Settings

log = structlog.get_logger()

CONNECT: Final = Backoff(0.1, 3.0)


async def connect_temporal(settings: Settings) -> Client:
    """Return a connected client, waiting for the server for as long as it takes."""
    failures = 0
    while True:
        try:
            client = await workflows.client.connect_temporal(
                settings.temporal_address, settings.temporal_namespace
            )
            await client.service_client.check_health()
        except (RuntimeError, RPCError) as error:
            # RuntimeError is how the SDK says that nobody listens there.
            log.warning("temporal_not_there", error=str(error)[:200])
        else:
            return client
        failures += 1
        await asyncio.sleep(CONNECT.pause_seconds(failures))
