"""What OpenAPI says of a route: its problems by code, its body, its headers.

All of it is description: nothing here is called while a request is answered. `api.openapi` adds
what all routes share, and what the names `#/components/...` stand for.
"""

from typing import Annotated, Any, Final

from fastapi import Path
from pydantic import BaseModel

from api.components import ref, schema_of
from api.schemas import ORDER_ID_EXAMPLE
from brokerage.contracts.problems import PROBLEMS

Responses = dict[int | str, dict[str, Any]]

TOKEN_PROBLEMS: Final = ("token-missing", "token-invalid", "token-expired")
BODY_PROBLEMS: Final = (
    "malformed-json",
    "body-too-large",
    "unsupported-media-type",
    "invalid-request",
    "unknown-field",
)
"""What may be wrong with any body, whatever is in it."""
RISK_PROBLEMS: Final = (
    "account-frozen",
    "account-close-only",
    "order-too-large",
    "price-out-of-band",
    "self-trade",
    "position-limit",
    "insufficient-buying-power",
    "insufficient-shares",
)
"""The refusals of `brokerage.domain.risk`, in the order in which they answer."""
ORDER_PROBLEMS: Final = (
    *TOKEN_PROBLEMS,
    *BODY_PROBLEMS,
    "no-account",
    "invalid-shares",
    "invalid-price",
    "invalid-time-in-force",
    "unknown-symbol",
    "kill-switch",
    "market-closed",
    "symbol-halted",
    "feed-stale",
    "no-price",
    "unavailable",
)
"""What may be wrong with an order before anybody's account is looked at, and with the moment."""
UUID: Final = r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"
KEY_PARAMETER: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "description": "A UUID made before the first attempt and sent with every repeat.",
    # Not `format`: generated clients would put a UUID, which is no text, into a header.
    "schema": {"type": "string", "pattern": UUID},
    "example": "6f1d7c52-3c35-4f0e-9a46-6d5f7d2f6a01",
}
BEARER: Final[list[dict[str, list[str]]]] = [{"bearer": []}]
BEARER_OR_TICKET: Final[list[dict[str, list[str]]]] = [*BEARER, {"ticket": []}]
PROBLEM_JSON: Final = "application/problem+json"

# The format is only told: what is no UUID is answered like an order that is not there.
OrderId = Annotated[str, Path(examples=[ORDER_ID_EXAMPLE], json_schema_extra={"format": "uuid"})]
SymbolName = Annotated[str, Path(description="One of `GET /symbols`.", examples=["META"])]


def problems(*codes: str) -> Responses:
    """The responses of a route that can answer with these codes, an example of each."""
    responses: Responses = {}
    for code in codes:
        kind = PROBLEMS[code]
        response = responses.setdefault(
            kind.status,
            {
                "description": "",
                "headers": headers("WWW-Authenticate") if kind.status == 401 else {},
                "content": {PROBLEM_JSON: {"schema": ref("schemas", "Problem"), "examples": {}}},
            },
        )
        if kind.retryable and kind.status != 500:
            response["headers"] |= headers("Retry-After")
        described = f"`{code}`: {kind.title}. {kind.advice}"
        response["description"] = "\n\n".join(filter(None, (response["description"], described)))
        response["content"][PROBLEM_JSON]["examples"][code] = ref("examples", code)
    return responses


def headers(*names: str) -> dict[str, Any]:
    """The headers of a response; each is described once, in `api.openapi`."""
    return {name: ref("headers", name) for name in names}


def body(model: type[BaseModel], *parameters: dict[str, Any]) -> dict[str, Any]:
    """The request body that a route reads by hand, and headers likewise."""
    content = {"application/json": {"schema": schema_of(model)}}
    described: dict[str, Any] = {"requestBody": {"required": True, "content": content}}
    if parameters:
        described["parameters"] = list(parameters)
    return described
