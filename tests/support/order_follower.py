"""Order streams held open by a test, with all that they told."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx
from httpx_sse import EventSource, ServerSentEvent

from tests.support.eventually import eventually

PATH = "/orders/stream"


class OrderFollower:
    """One stream: its events as they came; `ended` once the server ended it properly."""

    def __init__(self) -> None:
        self.events: list[ServerSentEvent] = []
        self.ended = False

    def told(self, kind: str) -> list[Any]:
        """The data of every event of this kind."""
        return [json.loads(event.data) for event in self.events if event.event == kind]

    @property
    def seqs(self) -> list[int]:
        """The sequences of the order events, as they came."""
        return [int(event.id) for event in self.events if event.event == "order"]

    async def has_heard(self, seq: int) -> None:
        """Wait until it was told of this order event."""
        await eventually(lambda: seq in self.seqs, f"the stream tells {seq}")

    async def begins(self) -> None:
        """Wait until it was greeted."""
        await eventually(lambda: bool(self.events), "the stream begins")

    async def take(self, response: httpx.Response) -> None:
        """Read the stream to its end."""
        async for event in EventSource(response).aiter_sse():
            self.events.append(event)
        self.ended = True


@asynccontextmanager
async def following(
    http: httpx.AsyncClient,
    params: Mapping[str, str | int] | None = None,
    headers: Mapping[str, str] | None = None,
) -> AsyncIterator[OrderFollower]:
    """Hold a stream that has begun for as long as the block; asked for again where the machine is
    too busy.
    """
    follower = OrderFollower()
    async with AsyncExitStack() as held:

        async def answer() -> httpx.Response:
            stream = http.stream("GET", PATH, params=params, headers=headers)
            response = await held.enter_async_context(stream)
            if response.status_code != 200:
                await response.aread()
                assert response.json()["code"] != "unavailable", response.text
            return response

        response: httpx.Response = await eventually(answer, "the stream is answered")
        if response.status_code != 200:
            raise AssertionError(f"{response.status_code}: {response.text}")
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(follower.take(response))
            try:
                await follower.begins()
                yield follower
            finally:
                reading.cancel()


async def place_resting(http: httpx.AsyncClient, **terms: Any) -> dict[str, Any]:
    """Place an order far below the market: two events, `placed` and `submitted`; repeated with its
    key where the machine is too busy.
    """
    # Until cancelled: the exchange's day may end in the middle of a test.
    order = {"position": "buy", "symbol": "SPY", "priceInCents": 100, "timeInForce": "gtc"}
    headers = {"idempotency-key": str(uuid4())}

    async def attempt() -> dict[str, Any]:
        answer = await http.post("/order", json={**order, "numShares": 1, **terms}, headers=headers)
        assert answer.status_code == 201, answer.text
        placed: dict[str, Any] = answer.json()
        return placed

    placed: dict[str, Any] = await eventually(attempt, "the exchange has the order", 60)
    return placed
