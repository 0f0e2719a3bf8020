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
