"""A stack of which a part is missing."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from devstack.stack import DevStack


@asynccontextmanager
async def away(stack: DevStack, *names: str) -> AsyncIterator[None]:
    """Without these processes, as long as the block."""
    for name in names:
        await stack.stop(name)
    try:
        yield
    finally:
        for name in names:
            await stack.start(name)
