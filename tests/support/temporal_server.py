"""Temporal's development server with the settings of `make up`, on a port of its own."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from devstack.settings import StackSettings
from devstack.temporal_binary import find_temporal
from devstack.temporal_server import DYNAMIC_CONFIG
from tests.support.eventually import eventually
from tests.support.ports import accepts, free_port


@asynccontextmanager
async def temporal_server() -> AsyncIterator[str]:
    """Run one in memory as long as the block; yields its address."""
    binary = await find_temporal(StackSettings(), lambda message: None)
    port = free_port()
    arguments = ["server", "start-dev", "--headless", "--ip", "127.0.0.1", "--port", str(port)]
    for key, value in DYNAMIC_CONFIG.items():
        arguments += ["--dynamic-config-value", f"{key}={json.dumps(value)}"]
    process = await asyncio.create_subprocess_exec(
        str(binary),
        *arguments,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await eventually(lambda: accepts(port), "Temporal listens")
        yield f"127.0.0.1:{port}"
    finally:
        process.kill()
        await process.wait()
