"""The header that chooses what is simulated: refused in production, and not described there."""

import pytest
from httpx import ASGITransport, AsyncClient

from api.app import create_app
from api.simulating import HEADER
from brokerage.bus.connection import NobodyListens
from brokerage.contracts.simulations import SIMULATIONS
from tests.unit.api.test_app import KEY, SETTINGS, assert_problem, authorized

ORDER = {"position": "buy", "symbol": "SPY", "numShares": 1}
HEADERS = {"idempotency-key": KEY, HEADER: "fill"}
PRODUCTION = SETTINGS.model_copy(update={"environment": "production"})


class Gateway:
    """A bus with a gateway that answers so."""

    def __init__(self, reply: bytes | Exception) -> None:
        self._reply = reply

    async def request(self, subject: str, payload: bytes, timeout_seconds: float) -> bytes:
        if isinstance(self._reply, Exception):
            raise self._reply
        return self._reply


async def test_production_refuses_the_header_whatever_it_says() -> None:
    app = create_app(PRODUCTION)
    async with AsyncClient(transport=ASGITransport(app), base_url="http://test") as client:
        for name in ("fill", "nothing", ""):
            headers = authorized() | HEADERS | {HEADER: name}
            answer = await client.post("/order", json=ORDER, headers=headers)

            assert_problem(answer, "simulation-unavailable")


def test_development_alone_describes_the_header() -> None:
    def described(environment: str) -> list[list[str]]:
        app = create_app(SETTINGS.model_copy(update={"environment": environment}))
        parameters = app.openapi()["paths"]["/order"]["post"]["parameters"]
        return [one["schema"]["enum"] for one in parameters if one["name"] == HEADER]

    assert described("production") == []
    assert described("development") == [list(SIMULATIONS)]


@pytest.mark.parametrize(
    ("reply", "code", "detail"),
    [
        (b'{"outcome":"unknown","reason":"away"}', "unavailable", "did not plan it: away"),
        (b'{"outcome":"unsupported"}', "simulation-unavailable", "takes no plans"),
        (NobodyListens("gateway.simulate"), "unavailable", "the gateway did not answer"),
    ],
)
async def test_nothing_is_placed_that_the_exchange_did_not_plan(
    reply: bytes | Exception, code: str, detail: str
) -> None:
    app = create_app(SETTINGS)
    app.state.bus = Gateway(reply)
    async with AsyncClient(transport=ASGITransport(app), base_url="http://test") as client:
        answer = await client.post("/order", json=ORDER, headers=authorized() | HEADERS)

    # Placing would have come next, and would have missed the market.
    assert detail in assert_problem(answer, code)["detail"]
