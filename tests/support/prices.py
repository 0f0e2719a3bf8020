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

from api.auth import User, current_user
from api.errors import install_error_handlers
from api.routes import prices
from brokerage.bus.connection import Bus, open_bus
from brokerage.bus.execution_log import ExecutionLog
from brokerage.bus.market_facts import MarketFacts
from streaming.feed import Feed
from streaming.forwarding import Forwarder
from streaming.market import Market, open_market
from tests.support.eventually import eventually
from tests.support.ports import free_port


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


@asynccontextmanager
async def price_node(nats_url: str) -> AsyncIterator[Node]:
    """One node with the price routes; every request is the user `viewer`."""
    app = FastAPI()
    app.include_router(prices.router)
    app.dependency_overrides[current_user] = lambda: User("viewer")
    install_error_handlers(app)
    port = free_port()
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning", lifespan="off")
    )
    server.config.load()
    async with open_bus(nats_url, "api") as bus, open_market(bus) as market:
        stopping = asyncio.Event()
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
