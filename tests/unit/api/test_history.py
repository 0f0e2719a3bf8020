"""The past, without a server: a node looks into it for few at a time."""

import asyncio

import pytest
from httpx import ASGITransport, AsyncClient
from pydantic import SecretStr

from api.app import create_app
from api.auth import issue_token
from api.node import NodeState
from brokerage.runtime.settings import Settings
from streaming.directory import Directory

SETTINGS = Settings(
    environment="development",
    token_secret=SecretStr("a secret of this test, 32 bytes long or more"),
)


@pytest.mark.parametrize("path", ["/symbol/SPY/bars", "/portfolio/history"])
async def test_who_would_wait_too_long_is_told_so_and_takes_no_place(path: str) -> None:
    app = create_app(SETTINGS)
    state: NodeState = app.state  # type: ignore[assignment]
    state.directory = Directory()
    state.directory.load(b'[{"symbol":"SPY","name":"S&P 500"}]')
    state.history_reads = asyncio.Semaphore(1)
    headers = {"authorization": f"Bearer {issue_token(SETTINGS, 'alice', None)[0]}"}

    async with AsyncClient(
        transport=ASGITransport(app), base_url="http://test", headers=headers
    ) as client:
        async with state.history_reads:
            busy = await client.get(path)
        # The place is free again, and then the database is missed.
        alone = [await client.get(path) for _ in range(2)]

    assert (busy.status_code, busy.json()["code"]) == (503, "overloaded")
    assert busy.headers["retry-after"] == "1"
    assert [answer.json()["code"] for answer in alone] == ["unavailable"] * 2


async def test_openapi_describes_questions_and_refusals() -> None:
    async with AsyncClient(
        transport=ASGITransport(create_app(SETTINGS)), base_url="http://test"
    ) as client:
        paths = (await client.get("/openapi.json")).json()["paths"]

    bars, history = paths["/symbol/{name}/bars"]["get"], paths["/portfolio/history"]["get"]
    asked = {parameter["name"]: parameter["schema"] for parameter in bars["parameters"]}
    assert set(asked) == {"name", "interval", "from", "to", "limit", "cursor"}
    assert asked["interval"]["enum"] == ["1s", "1m", "5m", "15m", "1h", "1d"]
    assert history["parameters"][0]["schema"]["enum"] == ["1d", "1w", "1m", "1y", "all"]
    refusals = {
        code
        for response in bars["responses"].values()
        for kind, content in response["content"].items()
        if kind == "application/problem+json"
        for code in content["examples"]
    }
    assert {"invalid-range", "range-not-kept", "symbol-not-found", "overloaded"} <= refusals
    assert bars["responses"]["200"]["content"]["application/json"]["schema"]
    assert history["responses"]["200"]["content"]["application/json"]["schema"]
