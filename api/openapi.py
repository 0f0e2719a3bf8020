"""The OpenAPI document: what all routes share is added to what each says of itself.

Routes read and write their bodies by hand, so the framework knows neither their requests nor who
may call them. Both are taken from the same code that the routes run: the models that check bodies,
and the dependencies that ask who calls.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.routing import BaseRoute

from api.auth import current_operator, current_user
from api.components import Object, example_of, flat, ref, rename, schemas_of
from api.documentation import BEARER, BEARER_OR_TICKET, PROBLEM_JSON, headers, problems
from api.order_stream import stream_user
from api.schemas import ProblemBody
from brokerage.contracts.problems import PROBLEMS, problem

DESCRIPTION: Final = """\
Orders, live prices and portfolios. Money is whole cents, shares are whole shares, times are RFC
3339 in UTC.

Every error is `application/problem+json` (RFC 9457) with a stable `code`; each route lists those it
may answer with, and `GET /problems/{code}` explains one. Codes may be added: decide by the status
where you know a code not. An address that is none is 404 `not-found`, a method that it has not 405
`method-not-allowed` with `Allow`.

What may be repeated says so (`retryable`); after 429 and 503 not before `Retry-After` seconds. To
place an order needs an `Idempotency-Key`, with which it is safe to repeat whatever happened to the
answer.

The streams are described in AsyncAPI: `GET /asyncapi.json`.
"""
SERVERS: Final = [
    {"url": "/", "description": "Where this description came from; any node answers any request."}
]
TAGS: Final = [
    {"name": "orders", "description": "Place, follow and cancel orders."},
    {"name": "account", "description": "Cash, positions, and what is held of them."},
    {"name": "prices", "description": "What is traded, at what price, now."},
    {"name": "history", "description": "Prices and values of the past."},
    {
        "name": "operators",
        "description": "For tokens with the scope `operator`; every change needs a reason.",
    },
    {"name": "operations", "description": "For load balancers, monitoring and programs."},
    {"name": "development", "description": "Not there in production."},
]
SECURITY_SCHEMES: Final = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "The user is the token's `sub`; operators' routes need the scope "
        "`operator` in it.",
    },
    "ticket": {
        "type": "apiKey",
        "in": "query",
        "name": "ticket",
        "description": "From `POST /stream-ticket`; opens one stream, once, within seconds. For "
        "browsers' EventSource, which cannot send the token.",
    },
}
SECURITY_BY_DEPENDENCY: Final[Mapping[Callable[..., Any], list[Object]]] = {
    current_user: BEARER,
    # It depends on the one above, and is the stricter one.
    current_operator: [{"bearer": ["operator"]}],
    stream_user: BEARER_OR_TICKET,
}


def _header(description: str, schema: Object, example: object, **more: object) -> Object:
    return {"description": description, "schema": schema, "example": example, **more}


_COUNT: Final = {"type": "integer", "minimum": 0}
RATE_HEADERS: Final = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")
HEADERS: Final = {
    "X-Request-Id": _header(
        "What our logs call the request: its own `X-Request-Id`, if that has 8 to 64 letters, "
        "digits and hyphens, else one made for it.",
        {"type": "string"},
        "5f0e8a7c1d2b4c3e9a6f7b8c9d0e1f2a",
        required=True,
    ),
    "RateLimit-Limit": _header("Orders that the user may place at once.", _COUNT, 40),
    "RateLimit-Remaining": _header("Orders left of that now.", _COUNT, 39),
    "RateLimit-Reset": _header("Seconds until all of them are there again.", _COUNT, 1),
    "Retry-After": _header(
        "Seconds; do not repeat the request, or look again, before. Every 429 has it, and every "
        "problem of 503.",
        {"type": "integer", "minimum": 1},
        1,
    ),
    "Location": _header(
        "Where to read what was made.", {"type": "string", "format": "uri-reference"}, "/order/..."
    ),
    "Idempotent-Replayed": _header(
        "There if this is the kept answer to an earlier request with the same key.",
        {"type": "string", "const": "true"},
        "true",
    ),
    "WWW-Authenticate": _header(
        "RFC 6750.", {"type": "string"}, 'Bearer error="invalid_token"', required=True
    ),
}


def operation_id(route: APIRoute) -> str:
    """The name that generated clients give the call: the handler's, in their spelling."""
    first, *others = route.name.split("_")
    return first + "".join(word.title() for word in others)


def complete(document: Object, routes: Sequence[BaseRoute]) -> None:
    """Add to FastAPI's own document, in place, what it cannot know."""
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    # As it is read: what comes with some codes only is not required.
    schemas |= schemas_of(ProblemBody)
    security = dict(_security(routes))
    for path, method, operation in operations(document):
        # FastAPI's guess, for every route with a parameter; what is true is said by the routes.
        if PROBLEM_JSON not in operation["responses"].get("422", {}).get("content", {PROBLEM_JSON}):
            del operation["responses"]["422"]
        operation.setdefault("security", security.get((method, path), []))
        _hoist(operation, schemas)
        _complete_responses(operation)
    rename(document)
    document["components"] |= {
        "headers": HEADERS,
        "securitySchemes": SECURITY_SCHEMES,
        "examples": {
            code: {"summary": kind.title, "value": problem(code, kind.title)}
            for code, kind in PROBLEMS.items()
        },
    }
    for _, _, operation in operations(document):
        for content in _json_contents(operation):
            content["example"] = example_of(content["schema"], document["components"]["schemas"])


def operations(document: Object) -> Iterator[tuple[str, str, Object]]:
    """Every operation, with its path and its method in capitals."""
    for path, by_method in document["paths"].items():
        for method, operation in by_method.items():
            yield path, method.upper(), operation


def _security(routes: Sequence[BaseRoute]) -> Iterator[tuple[tuple[str, str], list[Object]]]:
    for context in iter_route_contexts(routes):
        route = context.original_route
        if isinstance(route, APIRoute):
            for call in _calls(route.dependant):
                if call in SECURITY_BY_DEPENDENCY:
                    for method in route.methods or ():
                        yield (method, route.path), SECURITY_BY_DEPENDENCY[call]


def _calls(dependant: Dependant) -> Iterator[Callable[..., Any]]:
    for one in dependant.dependencies:
        yield from _calls(one)
    if dependant.call is not None:
        yield dependant.call


def _hoist(operation: Object, schemas: Object) -> None:
    """Move the models of a request among the components."""
    for content in operation.get("requestBody", {}).get("content", {}).values():
        for name, schema in flat(content["schema"]).items():
            if schemas.setdefault(name, schema) != schema:
                raise ValueError(f"two schemas are called {name}")
        content["schema"] = ref("schemas", content["schema"]["title"])


def _complete_responses(operation: Object) -> None:
    internal = {str(status): one for status, one in problems("internal").items()}
    responses = operation["responses"] = dict(sorted((operation["responses"] | internal).items()))
    for status, response in responses.items():
        # Every answer to a known user has them; said where a client looks for them.
        told = operation["security"] and (status.startswith("2") or status == "429")
        names = ("X-Request-Id", *(RATE_HEADERS if told else ()))
        response["headers"] = response.get("headers", {}) | headers(*names)


def _json_contents(operation: Object) -> Iterator[Object]:
    for part in (operation.get("requestBody", {}), *operation["responses"].values()):
        if "application/json" in part.get("content", {}):
            yield part["content"]["application/json"]
