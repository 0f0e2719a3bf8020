"""Temporal's development server, configured as `make up` does, on a port of its own."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from devstack import spawn
from devstack.settings import StackSettings
from devstack.temporal_binary import find_temporal
from devstack.temporal_server import DYNAMIC_CONFIG, SEARCH_ATTRIBUTES
from tests.support.eventually import eventually
from tests.support.ports import accepts, free_port
from tests.support.running import ROOT, inherited


@asynccontextmanager
async def temporal_server(settings: Mapping[str, object] | None = None) -> AsyncIterator[str]:
    """Run one in memory as long as the block, with these settings besides; yields its address."""
    binary = await find_temporal(StackSettings(), lambda message: None)
    port = free_port()
    arguments = ["server", "start-dev", "--headless", "--ip", "127.0.0.1", "--port", str(port)]
    for key, value in {**DYNAMIC_CONFIG, **(settings or {})}.items():
        arguments += ["--dynamic-config-value", f"{key}={json.dumps(value)}"]
    for name in SEARCH_ATTRIBUTES:
        arguments += ["--search-attribute", f"{name}=Keyword"]
    process = await spawn.spawn(
        (str(binary), *arguments),
        environment=inherited(),
        folder=ROOT,
        log=asyncio.subprocess.DEVNULL,
        account=None,
        death_signal=signal.SIGKILL,
    )
    try:
        await eventually(lambda: accepts(port), "Temporal listens", 120)
        yield f"127.0.0.1:{port}"
    finally:
        process.kill()
        await process.wait()
