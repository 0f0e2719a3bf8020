"""An order stream as a response: whatever ends it, what it held is given back once."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.types import Message

from api.order_stream import OrderStreamResponse

SCOPE: dict[str, Any] = {"type": "http", "method": "GET", "state": {"request_id": "r" * 32}}


class Watched:
    """Chunks without end, and whether their stream was given back."""

    def __init__(self) -> None:
        self.left = 0
        self.closed = False

    async def chunks(self) -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"data: x\n\n"
                await asyncio.sleep(0)
        finally:
            self.closed = True

    def leave(self) -> None:
        self.left += 1


async def never() -> Message:
    await asyncio.Event().wait()
    raise AssertionError


async def takes_nothing(message: Message) -> None:
    if message["type"] == "http.response.body":
        await asyncio.Event().wait()


async def takes_all(message: Message) -> None:
    """As fast as it comes."""


async def fails(message: Message) -> None:
    raise OSError("gone")


async def gone() -> Message:
    return {"type": "http.disconnect"}


async def test_client_that_takes_nothing_is_given_up() -> None:
    watched = Watched()
    response = OrderStreamResponse(watched.chunks(), watched.leave, stalled_seconds_max=0.02)

    async with asyncio.timeout(60):
        await response(SCOPE, never, takes_nothing)

    assert (watched.left, watched.closed) == (1, True)


async def test_client_that_goes_is_not_told_any_more() -> None:
    watched = Watched()

    async with asyncio.timeout(60):
        await OrderStreamResponse(watched.chunks(), watched.leave)(SCOPE, gone, takes_all)

    assert watched.left == 1


async def test_failure_of_the_connection_gives_back_what_the_stream_held() -> None:
    watched = Watched()

    with pytest.raises(OSError, match="gone"):
        await OrderStreamResponse(watched.chunks(), watched.leave)(SCOPE, never, fails)

    assert watched.left == 1
