"""API nodes, and viewers of their prices, for tests of the way of a price."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import uvicorn
from pydantic import SecretStr
from starlette.types import ASGIApp, Receive, Scope, Send

from api.app import create_app
from api.auth import issue_token
from api.listening import Protocol, listen
from brokerage.bus.connection import Bus, open_bus
from brokerage.runtime.settings import Settings
from streaming.hub import TERMS, Terms
from streaming.market import Market, open_market
from tests.support.eventually import eventually


@dataclass
class Node:
    """An API node of its own, over real HTTP."""

    url: str
    market: Market
    bus: Bus
    stopping: asyncio.Event

    def http(self, user: str = "viewer") -> httpx.AsyncClient:
        """A client that asks as `user`."""
        return httpx.AsyncClient(
            base_url=self.url, headers=signed_by(user), trust_env=False, timeout=20
        )


SETTINGS = Settings(
    environment="development",
    token_secret=SecretStr("a secret of these tests, 32 bytes long or more"),
    streams_per_user_max=1_000,
)


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
async def price_node(
    nats_url: str,
    terms: Terms = TERMS,
    settings: Settings = SETTINGS,
    hears_a_feed: bool = True,
) -> AsyncIterator[Node]:
    """One node that has its market open, and nothing else: no database, no Temporal.

    Without a feed's beat it would not be ready, so that is waited for, if there is to be one.
    """
    app = create_app(settings)
    listener = listen("127.0.0.1", 0)
    server = uvicorn.Server(
        uvicorn.Config(with_viewer(app), http=Protocol, log_level="warning", lifespan="off")
    )
    server.config.load()
    async with open_bus(nats_url, "api") as bus, open_market(bus, terms) as market:
        state = app.state
        state.bus = bus
        state.hub = market.hub
        state.directory = market.directory
        state.last_prices = market.last_prices
        state.stream_control = market.stream_control
        await market.directory.wait()
        if hears_a_feed:
            await eventually(lambda: market.hub.feed_is_live, "the node hears the feed")
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(server._serve([listener]))
            await eventually(lambda: server.started, "the node serves")
            try:
                yield Node(
                    f"http://127.0.0.1:{listener.getsockname()[1]}", market, bus, state.stopping
                )
            finally:
                state.stopping.set()
                server.should_exit = True


@dataclass
class Heard:
    """What one viewer heard: events in order, the newest tick of each symbol, how it ended."""

    events: list[tuple[str, Any]] = field(default_factory=list)
    ticks: dict[str, dict[str, Any]] = field(default_factory=dict)
    head: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    ended: bool = False
    comments: int = 0

    def kinds(self) -> list[str]:
        """The names of the events so far."""
        return [kind for kind, _ in self.events]

    def price(self, symbol: str) -> int | None:
        """The last price heard of `symbol`."""
        return self.ticks.get(symbol, {}).get("priceInCents")

    def note(self, block: str) -> None:
        """Take one block of the stream."""
        fields = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line)
        self.comments += block.startswith(":")
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


@asynccontextmanager
async def not_reading(node: Node, symbols: list[str]) -> AsyncIterator[socket.socket]:
    """A viewer that reads its snapshot and then no more; the kernel keeps little for it."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
    sock.setblocking(False)
    url = httpx.URL(node.url)
    loop = asyncio.get_running_loop()
    query = ",".join(symbols)
    with sock:
        await loop.sock_connect(sock, (url.host, url.port))
        request = f"GET /subscribe?symbols={query} HTTP/1.1\r\nhost: x\r\n"
        request += "".join(f"{name}: {value}\r\n" for name, value in signed_by("viewer").items())
        await loop.sock_sendall(sock, request.encode() + b"\r\n")
        heard = b""
        async with asyncio.timeout(60):
            while b"event: prices" not in heard:
                heard += await loop.sock_recv(sock, 1_024)
        yield sock
