"""`/subscribe`: prices as server-sent events, over plain ASGI.

Served before FastAPI and its middleware: each layer around `send` would cost a coroutine for every
write to every viewer, and memory for every stream. After its first line a stream is written by the
hub's flusher alone; the request's own task only waits for the client to go.
"""

import asyncio
import random
import time
from types import SimpleNamespace
from typing import Any, Final, cast

import structlog
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from api.auth import User, redeem, user_of
from api.bodies import read_json
from api.documentation import (
    BEARER,
    BEARER_OR_TICKET,
    BODY_PROBLEMS,
    TOKEN_PROBLEMS,
    body,
    problems,
)
from api.errors import ProblemError
from api.frame import ClientGone, failure_response, measure, request_id_of, whole_body
from api.node import NodeState
from api.stream_limits import StreamLimits
from api.symbols import check_known
from brokerage.bus.connection import BusUnavailable
from brokerage.runtime.logs import bind
from streaming import hub_metrics
from streaming.viewers import Send as AsgiSend
from streaming.viewers import Viewer

log = structlog.get_logger()

PATH: Final = "/subscribe"
SYMBOLS_MAX: Final = 200
RETRY_MS: Final = (1_000, 5_000)
"""When a node ends, its viewers come back spread over this time, not all at once."""
HEADERS: Final = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]
HEAD: Final = b"""retry: %d
event: hello
data: {"streamId":"%b","heartbeatSeconds":%g}

"""
_ROUTE: Final = SimpleNamespace(path=PATH)


class Subscription(BaseModel):
    """The symbols of a stream."""

    model_config = ConfigDict(extra="forbid", strict=True)

    symbols: list[str] = Field(
        min_length=1, max_length=SYMBOLS_MAX, examples=[["AAPL", "META", "BRK.B"]]
    )


class PriceStreams:
    """The ASGI application behind `/subscribe`."""

    def __init__(self, node: NodeState) -> None:
        self._node = node
        settings = node.settings
        self._limits = StreamLimits(
            streams_max=settings.streams_max,
            streams_per_user_max=settings.streams_per_user_max,
            openings_per_second_max=settings.stream_openings_per_second_max,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One stream, or a problem.

        What this frame holds is held for every viewer, so the request is read in others.
        """
        request_id = request_id_of(scope["headers"])
        bind(request_id=request_id.decode())
        try:
            viewer = await self._begin(scope, receive, send, request_id)
        except ClientGone:
            return
        if viewer is None:
            return
        try:
            # `http.disconnect` is also what the server says when the stream was ended from here.
            while (await receive())["type"] != "http.disconnect":
                pass
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not viewer.ended or task is None:
                raise
            task.uncancel()  # by the hub: the client reads nothing, there is no other end
        finally:
            self._end(viewer)

    async def _begin(
        self, scope: Scope, receive: Receive, send: Send, request_id: bytes
    ) -> Viewer | None:
        """A viewer that is being written to; None if a problem was the answer."""
        began = time.perf_counter()
        scope["route"] = _ROUTE
        try:
            viewer = await self._admitted(scope, receive)
        except ClientGone:
            raise
        except Exception as error:  # noqa: BLE001 - the last net, as `Frame` is for the others
            if isinstance(error, ProblemError):
                hub_metrics.REFUSED.labels(error.code).inc()
                response = error.response()
                if response.status_code == 405:
                    response.headers["allow"] = "GET, POST"
            else:
                response = failure_response(error, scope, request_id)
            response.headers["x-request-id"] = request_id.decode()
            measure(scope, response.status_code, time.perf_counter() - began)
            await response(scope, receive, send)
            return None
        try:
            rates = self._node.order_rates.headers(viewer.user_id)
            headers = [*HEADERS, *rates, (b"x-request-id", request_id)]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            measure(scope, 200, time.perf_counter() - began)
            hub = self._node.hub
            hub.begin(viewer, cast(AsgiSend, send), _head(viewer, hub.terms.heartbeat_seconds))
        except BaseException:
            self._end(viewer)
            raise
        return viewer

    def _end(self, viewer: Viewer) -> None:
        self._node.hub.leave(viewer)
        self._limits.leave(viewer.user_id)

    async def _admitted(self, scope: Scope, receive: Receive) -> Viewer:
        """A viewer that counts; raises `ProblemError`, or what reading a body does."""
        body = await whole_body(scope["headers"], receive)
        user, symbols = await self._asked(Request(scope, body))
        hub = self._node.hub
        hub.end_with(self._node.stopping)
        self._limits.enter(user.user_id)
        try:
            return await hub.join(user.user_id, symbols)
        except BaseException as error:
            self._limits.leave(user.user_id)
            if isinstance(error, BusUnavailable):
                raise ProblemError("unavailable", "prices cannot be read now") from error
            raise

    async def _asked(self, request: Request) -> tuple[User, list[str]]:
        """Who asks for what; raises `ProblemError`."""
        if request.method not in ("GET", "POST"):
            raise ProblemError("method-not-allowed", "a stream is opened by GET or POST")
        if self._node.stopping.is_set():
            raise ProblemError("shutting-down", "this node takes no new streams")
        user = await self._user(request)
        if request.method == "POST":
            symbols = (await read_json(request, Subscription)).symbols
        else:
            symbols = _named(request.query_params.get("symbols", ""))
        wanted = list(dict.fromkeys(symbols))
        check_known(self._node.directory, wanted)
        return user, wanted

    async def _user(self, request: Request) -> User:
        if request.method == "GET" and (ticket := request.query_params.get("ticket")) is not None:
            return await redeem(self._node.bus, ticket)
        return user_of(request.headers, self._node.verifier)


def _named(text: str) -> list[str]:
    symbols = [symbol.strip() for symbol in text.split(",") if symbol.strip()]
    if not 1 <= len(symbols) <= SYMBOLS_MAX:
        raise ProblemError(
            "invalid-request", f"`symbols` must name 1 to {SYMBOLS_MAX} symbols, not {len(symbols)}"
        )
    return symbols


def _head(viewer: Viewer, heartbeat_seconds: float) -> bytes:
    retry_ms = random.randint(*RETRY_MS)
    return HEAD % (retry_ms, viewer.stream_id.encode(), heartbeat_seconds)


def documented() -> dict[str, dict[str, Any]]:
    """What OpenAPI says of `/subscribe`, by method."""
    events = {
        "description": "Server-sent events, as the channel `prices` of `GET /asyncapi.json` has "
        "them: `hello`, `prices` (the first holds every symbol), `stale` and `live`.",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
    refusals = (
        *TOKEN_PROBLEMS,
        "invalid-request",
        "unknown-symbol",
        "too-many-streams",
        "node-full",
        "too-many-openings",
        "shutting-down",
        "unavailable",
    )
    symbols = {
        "name": "symbols",
        "in": "query",
        "required": True,
        "description": f"1 to {SYMBOLS_MAX} symbols, separated by commas.",
        "schema": {"type": "string"},
        "example": "AAPL,META",
    }

    def responses(*codes: str) -> dict[str, Any]:
        known = {200: events, **problems(*codes)}
        return {str(status): dict(response) for status, response in known.items()}

    return {
        "post": {
            "tags": ["prices"],
            "operationId": "streamPrices",
            "summary": "Stream prices",
            "description": "A snapshot, then every change; who reads slowly gets fewer events, "
            "each with the newest prices.",
            "security": BEARER,
            "responses": responses(*refusals, *BODY_PROBLEMS),
            **body(Subscription),
        },
        "get": {
            "tags": ["prices"],
            "operationId": "streamPricesByTicket",
            "summary": "Stream prices to an EventSource",
            "description": "The same for browsers, which can only GET.",
            "security": BEARER_OR_TICKET,
            "parameters": [symbols],
            "responses": responses(*refusals, "ticket-invalid"),
        },
    }
