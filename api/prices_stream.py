"""Prices as server-sent events, over plain ASGI.

A plain response costs a third of what a streaming library takes for each viewer, and waits for
nobody but its own client.
"""

import asyncio
import random
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Final
from uuid import uuid4

import msgspec
import structlog
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from api.errors import ProblemError
from brokerage.bus.connection import BusUnavailable
from streaming.hub import Hub
from streaming.mailbox import Frame, Mailbox

log = structlog.get_logger()

HEARTBEAT_SECONDS: Final = 15
SEND_SECONDS_MAX: Final = 30.0
"""A client that takes nothing for this long is gone, or as good as."""
RETRY_MS: Final = (1_000, 5_000)
"""When a node ends, its viewers come back spread over this time, not all at once."""
HEADERS: Final = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]


class ClientStalled(Exception):
    """The client did not take what was sent in time."""


class PriceStream(Response):
    """One viewer's stream: `hello`, a snapshot, then what changes, until somebody ends it."""

    media_type = "text/event-stream"

    def __init__(
        self,
        hub: Hub,
        symbols: Sequence[str],
        stopping: asyncio.Event,
        heartbeat_seconds: float = HEARTBEAT_SECONDS,
        send_seconds_max: float = SEND_SECONDS_MAX,
    ) -> None:
        super().__init__()
        self._hub = hub
        self._symbols = symbols
        self._stopping = stopping
        self._heartbeat_seconds = heartbeat_seconds
        self._send_seconds_max = send_seconds_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Stream; raises `ProblemError` before the first byte if the prices cannot be had."""
        if self._stopping.is_set():
            raise ProblemError("shutting-down", "this node takes no new streams")
        self._hub.end_with(self._stopping)
        async with AsyncExitStack() as stack:
            try:
                mailbox = await stack.enter_async_context(self._hub.viewer(self._symbols))
            except BusUnavailable as error:
                raise ProblemError("unavailable", "prices cannot be read now") from error
            if self._stopping.is_set():
                mailbox.close()
            tasks = await stack.enter_async_context(asyncio.TaskGroup())
            listener = tasks.create_task(_close_when_gone(receive, mailbox))
            try:
                await self._stream(mailbox, send)
            except (ClientStalled, OSError) as error:
                log.info("stream_dropped", cause=repr(error))
            finally:
                listener.cancel()

    async def _stream(self, mailbox: Mailbox, send: Send) -> None:
        await self._send(send, {"type": "http.response.start", "status": 200, "headers": HEADERS})
        hello = {"streamId": str(uuid4()), "heartbeatSeconds": self._heartbeat_seconds}
        retry = random.randint(*RETRY_MS)
        await self._write(
            send, b"retry: %d\n%b" % (retry, _event(b"hello", msgspec.json.encode(hello)))
        )
        while True:
            frame: Frame | None
            try:
                async with asyncio.timeout(self._heartbeat_seconds):
                    frame = await anext(mailbox, None)
            except TimeoutError:
                await self._write(send, b":\n\n")
                continue
            if frame is None:
                break
            await self._write(send, _event(frame.kind.encode(), frame.data))
        await self._send(send, {"type": "http.response.body", "body": b"", "more_body": False})

    async def _write(self, send: Send, body: bytes) -> None:
        await self._send(send, {"type": "http.response.body", "body": body, "more_body": True})

    async def _send(self, send: Send, message: Message) -> None:
        try:
            async with asyncio.timeout(self._send_seconds_max):
                await send(message)
        except TimeoutError as error:
            raise ClientStalled(f"nothing taken for {self._send_seconds_max} s") from error


def _event(name: bytes, data: bytes) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name, data)


async def _close_when_gone(receive: Receive, mailbox: Mailbox) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    mailbox.close()
