"""What the gateway makes of the exchange's answers to a plan."""

import httpx
import msgspec
import pytest

from brokerage.contracts.simulations import SIMULATIONS, SimulateReply, SimulateRequest
from brokerage.gateway.exchange import ExchangeClient
from brokerage.gateway.simulations import Simulations
from exchange.faults import FaultRules
from exchange.plans import PlanRequest


async def planned(name: str, status: int) -> tuple[SimulateReply, httpx.Request]:
    """What the gateway says, and what it sent to an exchange that answers so."""
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(status, json={})

    exchange = ExchangeClient("http://exchange.test", "us", httpx.MockTransport(answer))
    simulations = Simulations(None, exchange, "us")  # type: ignore[arg-type] # nothing is served
    return await simulations.plan(SimulateRequest("o1", name)), sent[0]


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (201, "planned"),
        (200, "planned"),
        (404, "unsupported"),
        (422, "unknown"),
        (503, "unknown"),
    ],
)
async def test_answer_of_the_exchange_says_whether_it_is_planned(status: int, outcome: str) -> None:
    reply, _ = await planned("fill", status)

    assert reply.outcome == outcome


@pytest.mark.parametrize("name", SIMULATIONS)
async def test_every_simulation_is_a_plan_that_the_exchange_takes(name: str) -> None:
    _, request = await planned(name, 201)

    plan = msgspec.json.decode(request.content, type=PlanRequest)
    rules = FaultRules(seed=1)

    assert (request.method, request.url.path) == ("POST", "/v1/control/plans")
    assert (plan.member, plan.client_order_id) == ("us", "o1")
    assert [rules.add(rule).rule for rule in plan.rules] == plan.rules
