"""The feed, and API nodes with nothing but the price routes, for tests of the way of a price."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI
from pydantic import SecretStr
from starlette.types import ASGIApp, Receive, Scope, Send

from api.auth import TokenVerifier, issue_token
from api.errors import install_error_handlers
from api.routes import prices, streams
from brokerage.bus.connection import Bus, open_bus
from brokerage.bus.execution_log import ExecutionLog
from brokerage.bus.market_facts import MarketFacts
from brokerage.runtime.settings import Settings
from streaming.feed import Feed
from streaming.forwarding import Forwarder
from streaming.market import Market, open_market
from tests.support.eventually import eventually
from tests.support.ports import free_port

SETTINGS = Settings(
    environment="development",
    token_secret=SecretStr("a secret of these tests, 32 bytes long or more"),
)


async def comes_true(attempt: Callable[[], Awaitable[bool]], what: str) -> None:
    """`eventually` for a look that itself has to wait."""
    look: Callable[[], Awaitable[bool] | bool] = attempt
    await eventually(look, what)


@asynccontextmanager
async def following_feed(
    exchange_url: str, nats_url: str, settled_seq: int = 0
) -> AsyncIterator[Feed]:
    """The feed as its process runs it, from the moment on that it is live."""
    live = asyncio.Event()

    async def settled() -> int:
        return settled_seq

    async with open_bus(nats_url, "feed") as bus, asyncio.TaskGroup() as tasks:
        forwarder = Forwarder(ExecutionLog(bus), settled)
        feed = Feed(exchange_url, "sherwood", bus, MarketFacts(bus), forwarder, live.set)
        run = tasks.create_task(feed.run())
        await eventually(live.is_set, "the feed is live")
        try:
            yield feed
        finally:
            run.cancel()


@dataclass
class Node:
    """An API node of its own, over real HTTP."""

    url: str
    market: Market
    bus: Bus
    stopping: asyncio.Event


def signed_by(user: str) -> dict[str, str]:
    """The header of a request of `user`'s."""
    return {"authorization": f"Bearer {issue_token(SETTINGS, user, None)[0]}"}


def with_viewer(app: ASGIApp) -> ASGIApp:
    """`app`, for which a request that does not say who asks is the user `viewer`'s."""
    viewer = [(name.encode(), value.encode()) for name, value in signed_by("viewer").items()]

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if all(name != b"authorization" for name, _ in scope["headers"]):
            scope = {**scope, "headers": [*scope["headers"], *viewer]}
        await app(scope, receive, send)

    return serve


@asynccontextmanager
async def price_node(nats_url: str) -> AsyncIterator[Node]:
    """One node with the price routes; a request without a token is the user `viewer`'s."""
    app = FastAPI()
    app.include_router(prices.router)
    app.include_router(streams.router)
    install_error_handlers(app)
    port = free_port()
    server = uvicorn.Server(
        uvicorn.Config(
            with_viewer(app), host="127.0.0.1", port=port, log_level="warning", lifespan="off"
        )
    )
    server.config.load()
    async with open_bus(nats_url, "api") as bus, open_market(bus) as market:
        stopping = asyncio.Event()
        app.state.verifier = TokenVerifier(SETTINGS)
        app.state.bus = bus
        app.state.hub = market.hub
        app.state.directory = market.directory
        app.state.last_prices = market.last_prices
        app.state.stopping = stopping
        await market.directory.wait()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(server._serve())
            await eventually(lambda: server.started, "the node serves")
            try:
                yield Node(f"http://127.0.0.1:{port}", market, bus, stopping)
            finally:
                stopping.set()
                server.should_exit = True


@dataclass
class Heard:
    """What one viewer heard: events in order, the newest tick of each symbol, how it ended."""

    events: list[tuple[str, Any]] = field(default_factory=list)
    ticks: dict[str, dict[str, Any]] = field(default_factory=dict)
    head: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    ended: bool = False

    def kinds(self) -> list[str]:
        """The names of the events so far."""
        return [kind for kind, _ in self.events]

    def price(self, symbol: str) -> int | None:
        """The last price heard of `symbol`."""
        return self.ticks.get(symbol, {}).get("priceInCents")

    def note(self, block: str) -> None:
        """Take one block of the stream."""
        fields = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line)
        if "retry" in fields:
            self.head = fields["retry"]
        if "event" not in fields:
            return
        data = json.loads(fields["data"])
        self.events.append((fields["event"], data))
        if fields["event"] == "prices":
            for tick in data:
                before = self.ticks.get(tick["symbol"], {})
                assert (before.get("v") or -1) <= (tick["v"] or -1), "a step back"
                self.ticks[tick["symbol"]] = tick


@asynccontextmanager
async def viewing(
    url: str, symbols: list[str], until: Callable[[Heard], bool] = lambda heard: bool(heard.events)
) -> AsyncIterator[Heard]:
    """A viewer of `symbols`, from the moment on that `until` is true."""
    heard = Heard()
    async with (
        httpx.AsyncClient(trust_env=False, timeout=30) as client,
        asyncio.TaskGroup() as tasks,
    ):
        reader = tasks.create_task(_read(client, url, symbols, heard))
        await eventually(lambda: until(heard), "the viewer sees something")
        yield heard
        reader.cancel()


async def _read(client: httpx.AsyncClient, url: str, symbols: list[str], heard: Heard) -> None:
    async with client.stream("POST", f"{url}/subscribe", json={"symbols": symbols}) as response:
        assert response.status_code == 200, await response.aread()
        heard.headers = dict(response.headers)
        text = ""
        async for part in response.aiter_text():
            text += part
            *blocks, text = text.split("\n\n")
            for block in blocks:
                heard.note(block)
    heard.ended = True
