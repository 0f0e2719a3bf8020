"""Reads of history: few at a time, since orders need the same database."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from api.errors import ProblemError
from api.node import NodeState

READ_WAIT_SECONDS: Final = 1.0


@asynccontextmanager
async def reading_history(node: NodeState) -> AsyncIterator[None]:
    """One of the few that a node has under way; raises `ProblemError` overloaded."""
    try:
        async with asyncio.timeout(READ_WAIT_SECONDS):
            await node.history_reads.acquire()
    except TimeoutError:
        raise ProblemError("overloaded", "too many look into the past at this node") from None
    try:
        yield
    finally:
        node.history_reads.release()
