"""Waiting for an order to change: a notice from the bus, and a look now and then without one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from api.node import NodeState
from brokerage.bus.connection import BusSubscription, BusUnavailable
from brokerage.contracts.subjects import orders_subject

log = structlog.get_logger()


class OrderNotices:
    """Notices that some order of one user changed. A lost one only costs time."""

    def __init__(self) -> None:
        self._heard = asyncio.Event()

    async def hear(self, subject: str, payload: bytes) -> None:
        """Take what comes over the bus."""
        self.wake()

    def wake(self) -> None:
        """Let who waits look again."""
        self._heard.set()

    async def wait(self, timeout_seconds: float) -> None:
        """Return at the next notice since the last call, or after this time."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._heard.wait()
        except TimeoutError:
            return
        self._heard.clear()


@asynccontextmanager
async def order_notices(node: NodeState, user_id: str) -> AsyncIterator[OrderNotices]:
    """Listen as long as the block; without a bus there are no notices, only time."""
    notices = OrderNotices()
    subscription: BusSubscription | None = None
    if node.has("bus"):
        try:
            subscription = await node.bus.subscribe(orders_subject(user_id), notices.hear)
        except BusUnavailable as error:
            log.debug("no_order_notices", error=str(error))
    try:
        yield notices
    finally:
        if subscription is not None:
            await subscription.close()
