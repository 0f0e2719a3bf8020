"""The order streams of users under load: when each of their executions arrived."""

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import httpx
import msgspec

from brokerage.runtime.tasks import TaskSet
from client.sse import EventDecoder

OPEN_SECONDS: Final = 10.0
LAST_SECONDS: Final = 10.0
"""How long after the load the last fills are waited for; what comes later counts as missing."""


class _Order(msgspec.Struct):
    id: str
    status: str


class _Execution(msgspec.Struct):
    id: str


class _Event(msgspec.Struct):
    order: _Order
    execution: _Execution | None


class OrderStreams:
    """What several streams have told so far: by execution, the wall time in ms of its arrival."""

    def __init__(self) -> None:
        self.arrived_ms: dict[str, float] = {}
        self._filled: set[str] = set()
        self._told = asyncio.Event()

    def take(self, data: str, at_ms: float) -> None:
        """Take one order event that arrived at `at_ms`."""
        event = msgspec.json.decode(data, type=_Event)
        if event.execution is not None:
            self.arrived_ms.setdefault(event.execution.id, at_ms)
        if event.order.status == "filled":
            self._filled.add(event.order.id)
            self._told.set()

    async def have_filled(self, order_ids: Collection[str]) -> None:
        """Return when all of these were told to be filled, or after `LAST_SECONDS`."""
        try:
            async with asyncio.timeout(LAST_SECONDS):
                while not self._filled.issuperset(order_ids):
                    self._told.clear()
                    await self._told.wait()
        except TimeoutError:
            return


@asynccontextmanager
async def order_streams(api_url: str, tokens: Sequence[str]) -> AsyncIterator[OrderStreams]:
    """Hold a stream open for each token as long as the block. Raises httpx.HTTPError."""
    streams = OrderStreams()
    async with (
        httpx.AsyncClient(
            base_url=api_url,
            timeout=httpx.Timeout(OPEN_SECONDS, read=None),
            limits=httpx.Limits(max_connections=None),
            trust_env=False,
        ) as http,
        AsyncExitStack() as opened,
        TaskSet() as reading,
    ):
        for token in tokens:
            headers = {"Authorization": f"Bearer {token}"}
            answer = await opened.enter_async_context(
                http.stream("GET", "/orders/stream", headers=headers)
            )
            answer.raise_for_status()
            reading.spawn(_read(answer, streams), "order-stream")
        yield streams


async def _read(answer: httpx.Response, streams: OrderStreams) -> None:
    decoder = EventDecoder()
    async for chunk in answer.aiter_raw():
        at_ms = time.time() * 1000
        for event in decoder.feed(chunk):
            if event.name == "order":
                streams.take(event.data, at_ms)
