"""API nodes of a test's own, beside the stack's."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from devstack.stack import DevStack
from tests.support.ports import free_port
from tests.support.running import Running, running


@asynccontextmanager
async def api_node(
    stack: DevStack, log: Path, **settings: float
) -> AsyncIterator[tuple[Running, str]]:
    """A ready node with these settings, as long as the block, and its URL."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environment = {
        **stack.env,
        "SHERWOOD_API_PORT": str(port),
        "SHERWOOD_TOKEN_SECRET": stack.home.secret("token-secret"),
        **{f"SHERWOOD_{name.upper()}": str(value) for name, value in settings.items()},
    }
    async with running("api", environment=environment, ready_url=f"{url}/readyz", log=log) as api:
        yield api, url
