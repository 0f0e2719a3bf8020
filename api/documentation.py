"""What OpenAPI says of a route: its problems by code, its body, its headers."""

from typing import Any, Final

from pydantic import BaseModel

from api.schemas import ProblemBody
from brokerage.contracts.problems import PROBLEMS, problem

Responses = dict[int | str, dict[str, Any]]

TOKEN_PROBLEMS: Final = ("token-missing", "token-invalid", "token-expired")
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
    "malformed-json",
    "no-account",
    "body-too-large",
    "unsupported-media-type",
    "invalid-request",
    "unknown-field",
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
KEY_PARAMETER: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "description": "A UUID made before the first attempt and sent with every repeat.",
    "schema": {"type": "string", "format": "uuid"},
}


def problems(*codes: str) -> Responses:
    """The responses of a route that can answer with these codes, an example of each."""
    responses: Responses = {}
    for code in codes:
        kind = PROBLEMS[code]
        response = responses.setdefault(
            kind.status,
            {
                "description": "",
                "content": {
                    "application/problem+json": {
                        "schema": ProblemBody.model_json_schema(),
                        "examples": {},
                    }
                },
            },
        )
        described = f"`{code}`: {kind.title}. {kind.advice}"
        response["description"] = "\n\n".join(filter(None, (response["description"], described)))
        example = {"summary": kind.title, "value": problem(code, kind.title)}
        response["content"]["application/problem+json"]["examples"][code] = example
    return responses


def body(model: type[BaseModel], *parameters: dict[str, Any]) -> dict[str, Any]:
    """The request body that a route reads by hand, and headers likewise."""
    schema = model.model_json_schema(by_alias=True)
    described: dict[str, Any] = {
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}
    }
    if parameters:
        described["parameters"] = list(parameters)
    return described
