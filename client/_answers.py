"""Responses read: bodies into structs, failures into exceptions."""

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final, TypeVar

import httpx
import msgspec

from client.errors import (
    NotAuthorised,
    NotFound,
    Problem,
    RateLimited,
    Refused,
    ServerFailed,
    Unavailable,
    UnexpectedAnswer,
)
from client.models import Order
from client.retry import parse_retry_after

T = TypeVar("T")

_KINDS: Final[dict[int, type[Problem]]] = {
    401: NotAuthorised,
    403: NotAuthorised,
    404: NotFound,
    429: RateLimited,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}
_NAMED_FIELDS: Final = frozenset(
    {"type", "title", "status", "code", "detail", "retryable", "order"}
)


def read(response: httpx.Response, shape: type[T]) -> T:
    """Return the body of `response` as `shape`. Raises UnexpectedAnswer."""
    try:
        return msgspec.json.decode(response.content, type=shape)
    except msgspec.DecodeError as error:  # its subclass ValidationError included
        raise UnexpectedAnswer(
            f"{response.request.method} {response.request.url.path} answered something else "
            f"than expected: {error}"
        ) from error


def problem_of(response: httpx.Response) -> Problem:
    """Return the exception for a response that is not a success; its body must have been read."""
    body = _object_in(response)
    status = response.status_code
    kind = _KINDS.get(status, ServerFailed if status >= 500 else Refused)
    retryable = body.get("retryable")
    if status == HTTPStatus.CONFLICT and retryable is True and "order" not in body:
        kind = Unavailable  # another order is being placed: a conflict with an order is an answer
    problem = kind(
        status,
        str(body.get("code") or f"http-{status}"),
        _detail_in(body) or response.reason_phrase or "no reason was given",
        retryable=retryable
        if isinstance(retryable, bool)
        else issubclass(kind, Unavailable | RateLimited | ServerFailed),
        order=_order_in(body),
        extra={name: value for name, value in body.items() if name not in _NAMED_FIELDS},
        retry_after_seconds=parse_retry_after(
            response.headers.get("Retry-After"), datetime.now(UTC)
        ),
    )
    # A proxy that lost its server, and a server that broke, cannot know what was done before.
    problem.may_have_arrived = status >= 500 and status != HTTPStatus.SERVICE_UNAVAILABLE
    return problem


def _object_in(response: httpx.Response) -> dict[str, Any]:
    try:
        body = msgspec.json.decode(response.content)
    except msgspec.DecodeError:
        return {}  # a proxy's page of HTML: the status has to be enough
    return body if isinstance(body, dict) else {}


def _detail_in(body: dict[str, Any]) -> str:
    for name in ("detail", "title"):
        if body.get(name):
            return str(body[name])
    return ""


def _order_in(body: dict[str, Any]) -> Order | None:
    try:
        return msgspec.convert(body.get("order"), Order | None)
    except msgspec.ValidationError:
        return None  # the refusal itself matters more than its attachment
