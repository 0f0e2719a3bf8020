"""Schemathesis asks all that docs/openapi.json describes but the streams, rightly and wrongly.

Each answer must be one that the route describes: status, media type, headers, body. The same
questions every time. Addresses name what there is in every other question.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.config import SchemathesisConfig

from api.contract_pages import described_app
from devstack.stack import DevStack
from tests.support.accounts import Account, account
from tests.support.contracts import closed
from tests.support.eventually import eventually
from tests.support.trading import MARKET, RESTING, ended, placed

EXAMPLES: Final = 10
"""Of each route, right and wrong ones. Bounds one by one (`coverage`) take minutes."""
CONFIG: Final = SchemathesisConfig.from_dict(
    {
        "generation": {
            "max-examples": EXAMPLES,
            "deterministic": True,
            # A parameter of the query that no route knows is no error here.
            "allow-extra-parameters": False,
        },
        "phases": {"coverage": {"enabled": False}},
        "checks": {
            # What is wrong may be too long as well: 413 is not among what is expected by itself.
            "negative_data_rejection": {
                "expected-statuses": [
                    *("400", "401", "403", "404", "405", "406", "409", "413"),
                    *("415", "422", "428", "429", "5xx"),
                ]
            },
            # A part that is away is told, and is no defect of the contract.
            "not_a_server_error": {"expected-statuses": ["2xx", "3xx", "4xx", "503"]},
            # Not all that is wrong with a request can be said in a schema: nobody's cursor, a
            # symbol that is not traded.
            "positive_data_acceptance": {
                "expected-statuses": ["2xx", "401", "403", "404", "409", "422", "429", "503"]
            },
        },
    }
)
SCHEMA: Final = schemathesis.openapi.from_dict(
    closed(described_app().openapi()), config=CONFIG
).exclude(path_regex="^/(subscribe|orders/stream)$")


@dataclass(frozen=True)
class Callers:
    """Who asks, and the names of what there is."""

    url: str
    user: Account
    operator: Account
    names: Mapping[str, str]


@pytest.fixture(scope="module")
async def callers(stack: DevStack) -> AsyncIterator[Callers]:
    """A user with an open and a filled order, and an operator who leaves everything as it was."""
    async with (
        account(stack.api_url) as user,
        account(stack.api_url) as subject,
        account(stack.api_url, scope="operator") as operator,
    ):
        await placed(user, RESTING)
        order = await ended(user, (await placed(user, MARKET))["id"], "filled")
        limits = await standing_limits(operator)
        names = {
            "order_id": order["id"],
            "symbol": "IBM",
            "user": subject.user,
            "subject": subject.user,
            "run": "latest",
            "code": "feed-stale",
        }
        yield Callers(stack.api_url, user, operator, names)
        await put_back(operator, limits)


async def standing_limits(operator: Account) -> dict[str, Any]:
    """What the limits are, by their addresses."""
    answer = await operator.http.get("/ops/limits")
    assert answer.status_code == 200, answer.text
    items = answer.json()["items"]
    return {"/".join(filter(None, (one["name"], one["subject"]))): one["value"] for one in items}


async def put_back(operator: Account, limits: Mapping[str, Any]) -> None:
    """Make the limits what they were."""
    reason = {"reason": "put back"}

    async def are_back() -> bool:
        now = await standing_limits(operator)
        for address in now.keys() | limits.keys():
            path = f"/ops/limits/{address}"
            if address not in limits:
                answer = await operator.http.request("DELETE", path, json=reason)
            elif now.get(address) != limits[address]:
                answer = await operator.http.put(path, json=reason | {"value": limits[address]})
            else:
                continue
            assert answer.is_success, answer.text
        return await standing_limits(operator) == limits

    await eventually(are_back, "the limits are back", 60)


def bounded(case: schemathesis.Case[Any]) -> None:
    """Take from a question what others would feel, or what is answered only after half a minute."""
    body = case.body
    if "kill-switch" in case.path and isinstance(body, dict) and body.get("level") in (1, 2, 3):
        body["level"] = 0
    if case.query:
        case.query.pop("afterVersion", None)


def named(case: schemathesis.Case[Any], names: Mapping[str, str]) -> None:
    """Ask for what there is, where the question is right."""
    if case.meta is not None and case.meta.generation.mode.is_positive:
        for name in case.path_parameters or {}:
            if name in names:
                case.path_parameters[name] = names[name]


@SCHEMA.parametrize()
@settings(deadline=None, suppress_health_check=list(HealthCheck), database=None)
def test_every_answer_is_as_described(case: schemathesis.Case[Any], callers: Callers) -> None:
    by_operator = any(
        "operator" in one.get("bearer", ()) for one in case.operation.definition.raw["security"]
    )
    asks = callers.operator if by_operator else callers.user
    bounded(case)
    named(case, {**callers.names, "name": "order-shares" if "limits" in case.path else "IBM"})

    case.call_and_validate(
        base_url=callers.url, headers={"Authorization": f"Bearer {asks.token}"}, timeout=60
    )
