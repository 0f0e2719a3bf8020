"""Around every request: an id, a limit for the body, a measurement, what the user may still place,
and the last net for failures.

Plain ASGI: a middleware that wraps responses in tasks would cost every order a millisecond and
break the streams.
"""

import random
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from typing import Final

import structlog
from prometheus_client import Counter, Histogram
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import problem_response
from api.order_rates import OrderRates
from brokerage.runtime.logs import bind
from brokerage.runtime.tracing import continued, describe, is_tracing, span

log = structlog.get_logger()

BODY_BYTES_MAX: Final = 8 * 1024
REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9-]{8,64}")
"""An id of another shape is not taken over: it would end up in our logs."""

REQUESTS = Counter("sherwood_http_requests", "HTTP requests.", ("method", "route", "status"))
SECONDS = Histogram(
    "sherwood_http_response_seconds",
    "From the request to the start of its response.",
    ("method", "route"),
    buckets=(0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2, 5),
)
METHODS: Final = frozenset({"GET", "POST", "DELETE", "PATCH", "PUT", "HEAD", "OPTIONS"})
READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
"""What changes nothing is logged at `debug`: there is ten times as much of it."""


class BodyTooLarge(Exception):
    """More bytes arrived than any request may have."""


class ClientGone(Exception):
    """The client left before its request was complete."""


class Frame:
    """The outermost layer of our own."""

    def __init__(self, app: ASGIApp, order_rates: OrderRates) -> None:
        self._app = app
        self._order_rates = order_rates

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; anything but HTTP passes untouched."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started_at = time.perf_counter()
        request_id = request_id_of(scope["headers"])
        scope.setdefault("state", {})["request_id"] = request_id.decode()
        bind(request_id=request_id.decode())
        status = 0

        async def send_framed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                user_id = scope["state"].get("user_id")
                rates = [] if user_id is None else self._order_rates.headers(user_id)
                own = [*rates, (b"x-request-id", request_id)]
                message["headers"] = [*message["headers"], *own]
                measure(scope, status, time.perf_counter() - started_at)
            await send(message)

        try:
            with traced(scope):
                replayed = await whole_body(scope["headers"], receive)
                await self._app(scope, replayed, send_framed)
        except ClientGone:
            return
        except Exception as error:
            response = failure_response(error, scope, request_id)
            if status:
                # Half a response is out: cutting the connection is the only honest end.
                raise
            await response(scope, receive, send_framed)


def traced(scope: Scope) -> AbstractContextManager[None]:
    """A span around a request that may change something: reading has no parts worth one."""
    return _traced(scope) if is_tracing() and scope["method"] not in READING else nullcontext()


@contextmanager
def _traced(scope: Scope) -> Iterator[None]:
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    with continued(lambda: headers), span("request", "server"):
        describe(**{"sherwood.request_id": scope["state"]["request_id"]})
        yield


def failure_response(error: Exception, scope: Scope, request_id: bytes) -> Response:
    """The answer to a request that failed in a way that no route foresees; what is no known cause
    is logged under the request's id.
    """
    if isinstance(error, BodyTooLarge):
        response = problem_response(
            "body-too-large", f"the body has more than {BODY_BYTES_MAX} bytes"
        )
        # What is left of the body is not read: the connection cannot be used again.
        response.headers["connection"] = "close"
        return response
    log.error("request_failed", path=scope["path"], exc_info=error)
    return problem_response(
        "internal", "the failure is logged under `requestId`", requestId=request_id.decode()
    )


def request_id_of(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The request's own id, or a new one."""
    for name, value in headers:
        if name == b"x-request-id" and REQUEST_ID.fullmatch(value):
            return value
    # It has to be another one each time, not a secret one.
    return b"%032x" % random.getrandbits(128)


async def whole_body(headers: Iterable[tuple[bytes, bytes]], receive: Receive) -> Receive:
    """Read the body, if there is one, up to the limit; return a `receive` that has it at hand.

    Raises `BodyTooLarge` or `ClientGone`.
    """
    announced = _announced_bytes(headers)
    if not announced:
        return receive
    if announced > BODY_BYTES_MAX:
        raise BodyTooLarge
    body = b""
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientGone
        body += message.get("body", b"")
        more = message.get("more_body", False)
        # Counted while it arrives: a length that was announced proves nothing.
        if len(body) > BODY_BYTES_MAX:
            raise BodyTooLarge
    delivered = False

    async def replay() -> Message:
        nonlocal delivered
        if delivered:
            return await receive()
        delivered = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def _announced_bytes(headers: Iterable[tuple[bytes, bytes]]) -> int:
    """The body's length as announced; 1 for a body of unknown length, 0 for none."""
    announced = 0
    for name, value in headers:
        if name == b"content-length" and value.isdigit():
            announced = max(announced, int(value))
        elif name == b"transfer-encoding":
            announced = max(announced, 1)
    return announced


def measure(scope: Scope, status: int, seconds: float) -> None:
    """Count a request whose response begins, and log it."""
    # The route's template, never the path: ids would make a time series each.
    route = getattr(scope.get("route"), "path", "none")
    method = scope["method"] if scope["method"] in METHODS else "other"
    requests, response_seconds = _series(method, route, status)
    requests.inc()
    response_seconds.observe(seconds)
    if is_tracing():
        describe(f"{method} {route}", **{"http.response.status_code": status})
    say = log.debug if method in READING else log.info
    say("request", method=method, route=route, status=status, ms=round(seconds * 1e3, 1))


@cache
def _series(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    # Bounded by our routes; finding the two each time takes longer than counting.
    return REQUESTS.labels(method, route, str(status)), SECONDS.labels(method, route)
