"""The connection to Temporal's server."""

import asyncio
import random
from typing import Final

import structlog
from temporalio.client import Client
from temporalio.service import RPCError

import workflows.client
from brokerage.runtime.settings import Settings

log = structlog.get_logger()

RETRY_FIRST_SECONDS: Final = 0.1
RETRY_MAX_SECONDS: Final = 3.0


async def connect_temporal(settings: Settings) -> Client:
    """Return a connected client, waiting for the server for as long as it takes."""
    wait_seconds = RETRY_FIRST_SECONDS
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
        await asyncio.sleep(wait_seconds * random.uniform(0.5, 1.0))
        wait_seconds = min(RETRY_MAX_SECONDS, wait_seconds * 2)
