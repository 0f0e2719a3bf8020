"""A server made of prepared answers, and examples of what the real one says."""

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import msgspec
from typer.testing import Result

Run = Callable[..., Result]
"""Runs the command with these words, as in a pipe."""
Step = httpx.Response | Exception | Callable[[httpx.Request], httpx.Response]

ORDER_ID = "0b9c3a52-6f0e-5d7c-9f3a-0d6b7a3f1c55"
KEY = "7b1d6a0e-53c5-4d2b-8a55-3a1d1a9f0c11"

ORDER: dict[str, Any] = {
    "id": ORDER_ID,
    "externalOrderId": "X-1",
    "position": "buy",
    "symbol": "META",
    "type": "limit",
    "timeInForce": "day",
    "priceInCents": 52210,
    "numShares": 10,
    "status": "filled",
    "outcome": "accepted",
    "filledShares": 10,
    "filledNotionalInCents": 522_095,
    "reason": None,
    "version": 3,
    "createdAt": "2026-03-02T14:30:00.125000Z",
    "updatedAt": "2026-03-02T14:30:00.180000Z",
}
PENDING = ORDER | {
    "status": "pending",
    "outcome": "unknown",
    "externalOrderId": None,
    "filledShares": 0,
    "filledNotionalInCents": 0,
}
REJECTED = PENDING | {"status": "rejected", "outcome": "refused", "reason": "buying-power"}
TICK: dict[str, Any] = {
    "symbol": "META",
    "priceInCents": 52210,
    "openInCents": 52000,
    "highInCents": 52300,
    "lowInCents": 51950,
    "volume": 1_250_400,
    "at": "2026-03-02T14:30:00.125000Z",
    "v": 7,
}

HELLO = b'event: hello\ndata: {"streamId": "s1", "heartbeatSeconds": 5}\n\n'


def prices(**changes: object) -> bytes:
    """Return an event with one tick."""
    return b"event: prices\ndata: " + msgspec.json.encode([TICK | changes]) + b"\n\n"


def problem(status: int, code: str, *, headers: dict[str, str] | None = None, **more: Any) -> Step:
    """Return an error as the server writes it."""
    body = {"type": f"/problems/{code}", "title": code, "status": status, "code": code}
    body |= {"detail": f"about {code}"} | more
    return httpx.Response(
        status, content=msgspec.json.encode(body), headers=_PROBLEM | (headers or {})
    )


_PROBLEM = {"Content-Type": "application/problem+json"}


class Chunks(httpx.AsyncByteStream):
    """A body that comes in pieces, and may break off with an error."""

    def __init__(self, *chunks: bytes | Exception) -> None:
        self._chunks = chunks

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            if isinstance(chunk, Exception):
                raise chunk
            yield chunk


def event_stream(*chunks: bytes | Exception) -> Step:
    """Return a stream of server-sent events."""
    return httpx.Response(
        200, headers={"Content-Type": "text/event-stream"}, stream=Chunks(*chunks)
    )


class FakeSherwood(httpx.AsyncBaseTransport):
    """Answers each route with its prepared steps in order; a request without a step is an error."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self._steps: dict[tuple[str, str], deque[Step]] = defaultdict(deque)

    def answer(self, method: str, path: str, *steps: Step) -> "FakeSherwood":
        """Add steps for a route."""
        self._steps[method, path].extend(steps)
        return self

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Take the next step of the request's route."""
        await request.aread()
        # A copy: a request that is sent again with another token is changed in place.
        self.requests.append(
            httpx.Request(
                request.method, request.url, headers=request.headers, content=request.content
            )
        )
        steps = self._steps[request.method, request.url.path]
        assert steps, f"unexpected {request.method} {request.url.path}"
        step = steps.popleft()
        if isinstance(step, Exception):
            raise step
        return step if isinstance(step, httpx.Response) else step(request)

    def sent(self, name: str) -> list[str | None]:
        """Return a header of every request, in order."""
        return [request.headers.get(name) for request in self.requests]


class Naps:
    """Stands in for sleeping: notes how long, and takes no time."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        """Note one nap."""
        self.seconds.append(seconds)
        await asyncio.sleep(0)  # a deadline that is over must be able to end the wait
