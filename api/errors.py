"""Every failure as one problem document (RFC 9457) with a stable code; nothing else leaves here."""

from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException
from starlette.routing import Match
from temporalio.service import RPCError

from brokerage.bus.connection import BusUnavailable
from brokerage.contracts.problems import PROBLEMS, encode, problem
from brokerage.storage.pool import DatabaseUnavailable

log = structlog.get_logger()

RETRY_AFTER_SECONDS = 1
"""What a client is told that met a part of the service which is away for a moment."""

CODES_BY_FIELD: Mapping[str, str] = {
    "numShares": "invalid-shares",
    "priceInCents": "invalid-price",
    "timeInForce": "invalid-time-in-force",
}
STATUS_CODES: Mapping[int, str] = {
    404: "not-found",
    405: "method-not-allowed",
    413: "body-too-large",
    415: "unsupported-media-type",
    400: "malformed-json",
}


class ProblemError(Exception):
    """The answer is a problem: raise it anywhere below a route."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        retry_after_seconds: int | None = None,
        **extra: object,
    ) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.retry_after_seconds = retry_after_seconds
        self.extra = extra

    def response(self) -> Response:
        """The answer."""
        return problem_response(
            self.code, self.detail, retry_after_seconds=self.retry_after_seconds, **self.extra
        )


def invalid_query(where: str, detail: str) -> ProblemError:
    """The refusal of one parameter of the query, named as validation names it."""
    finding = {"in": "query", "where": where, "code": "invalid-request", "detail": detail}
    return ProblemError("invalid-request", detail, errors=[finding])


def no_account() -> ProblemError:
    """Whose token is good has no account here."""
    return ProblemError("no-account", "the token's user has no account here")


def seq_ahead(last_seq: int) -> ProblemError:
    """Somebody names an order event that never was."""
    return ProblemError("seq-ahead-of-log", f"the log ends at {last_seq}", lastSeq=last_seq)


def problem_response(
    code: str, detail: str, *, retry_after_seconds: int | None = None, **extra: object
) -> Response:
    """The problem as a response. What may be repeated (503) says when, one second by default."""
    kind = PROBLEMS[code]
    headers: dict[str, str] = {}
    if kind.status == 401:
        # RFC 6750: without a token only the scheme is named, with a bad one the error too.
        headers["www-authenticate"] = (
            "Bearer" if code == "token-missing" else 'Bearer error="invalid_token"'
        )
    if kind.status == 503 or retry_after_seconds is not None:
        headers["retry-after"] = str(retry_after_seconds or RETRY_AFTER_SECONDS)
    return Response(
        # A detail may quote what a client sent, and that may hold half a surrogate pair.
        encode(problem(code, detail, **extra)).encode("utf-8", "replace"),
        status_code=kind.status,
        media_type="application/problem+json",
        headers=headers,
    )


def validation_problem(errors: Sequence[Mapping[str, Any]]) -> ProblemError:
    """What pydantic found wrong, as one problem that names every field.

    The code is the one that all the findings share, else `invalid-request`.
    """
    found = [_finding(error) for error in errors]
    codes = {finding["code"] for finding in found}
    code = codes.pop() if len(codes) == 1 else "invalid-request"
    if code == "malformed-json":
        return ProblemError(code, "the body could not be read as JSON")
    return ProblemError(
        code, "; ".join(f"{finding['where']}: {finding['detail']}" for finding in found),
        errors=found,
    )  # fmt: skip


def _finding(error: Mapping[str, Any]) -> dict[str, str]:
    location = [str(part) for part in error["loc"]]
    source = location.pop(0) if location and location[0] in _SOURCES else "body"
    code = "invalid-request"
    if error["type"] == "json_invalid":
        code = "malformed-json"
    elif error["type"] == "extra_forbidden":
        code = "unknown-field"
    elif source == "body" and location and error["type"] != "missing":
        code = CODES_BY_FIELD.get(location[0], code)
    escaped = (part.replace("~", "~0").replace("/", "~1") for part in location)
    where = "".join(f"/{part}" for part in escaped) if source == "body" else ".".join(location)
    return {
        "in": source,
        "where": f"#{where}" if source == "body" else where,
        "code": code,
        "detail": str(error["msg"]),
    }


_SOURCES = frozenset({"body", "query", "path", "header", "cookie"})


async def _known(request: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)
    return error.response()


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return validation_problem(error.errors()).response()


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = STATUS_CODES.get(error.status_code, "internal")
    response = problem_response(code, str(error.detail))
    for name, value in (error.headers or {}).items():
        response.headers[name] = value
    if error.status_code == 405:
        response.headers["allow"] = ", ".join(_methods_at(request))
    return response


def _methods_at(request: Request) -> list[str]:
    """Every method of an address: the framework names those of one route only.

    `/order/preview` is no order: where routes name the address itself, only they count.
    """
    routes = [context.original_route for context in iter_route_contexts(request.app.routes)]
    found = [route for route in routes if route.matches(request.scope)[0] is not Match.NONE]
    named = [route for route in found if getattr(route, "path", None) == request.url.path]
    return sorted({method for one in named or found for method in getattr(one, "methods", ())})


async def _away(request: Request, error: Exception) -> Response:
    log.warning("part_unavailable", path=request.url.path, error=repr(error))
    return problem_response("unavailable", f"{_part(error)} did not answer")


def _part(error: Exception) -> str:
    if isinstance(error, DatabaseUnavailable):
        return "the database"
    return "the bus" if isinstance(error, BusUnavailable) else "the order service"


def install_error_handlers(app: FastAPI) -> None:
    """Make every known failure a problem; the unknown ones are caught by `api.frame`."""
    app.add_exception_handler(ProblemError, _known)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    for kind in (DatabaseUnavailable, BusUnavailable, RPCError):
        app.add_exception_handler(kind, _away)
