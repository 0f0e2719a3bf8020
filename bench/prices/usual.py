"""`python -m bench.prices.usual`: the baseline, prices as they are usually sent.

FastAPI and sse-starlette: a generator and a queue for each client, JSON encoded for each client and
update. As ours it subscribes to a symbol of the bus once for all its clients, says `hello` and
begins with the last prices; it runs on the same server, event loop and parser. Nothing in it is
slower than it need be for its shape; it checks no tokens and has no limits.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final
from uuid import uuid4

import uvicorn
import uvloop
from fastapi import FastAPI, Request
from pydantic import BaseModel
from sse_starlette.sse import EventSourceResponse

from brokerage.bus.connection import Bus, open_bus
from brokerage.bus.last_price import LastPrices
from brokerage.contracts.subjects import price_subject
from brokerage.runtime.logs import configure_logs
from brokerage.runtime.settings import Settings

Tick = dict[str, Any]
HEARTBEAT_SECONDS: Final = 15


class Subscription(BaseModel):
    """The symbols of a stream."""

    symbols: list[str]


class Prices:
    """The queues of all clients, by symbol."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._last_prices = LastPrices(bus)
        self._queues: dict[str, set[asyncio.Queue[Tick]]] = {}
        self._last: dict[str, Tick] = {}
        self._opening = asyncio.Lock()

    async def stream(self, symbols: list[str]) -> AsyncIterator[dict[str, str]]:
        """One client's events."""
        queue: asyncio.Queue[Tick] = asyncio.Queue()
        await self._follow(symbols)
        for symbol in symbols:
            self._queues[symbol].add(queue)
            if symbol in self._last:
                queue.put_nowait(self._last[symbol])
        try:
            hello = {"streamId": str(uuid4()), "heartbeatSeconds": HEARTBEAT_SECONDS}
            yield {"event": "hello", "data": json.dumps(hello)}
            while True:
                tick = await queue.get()
                yield {"event": "price", "data": json.dumps(tick)}
        finally:
            for symbol in symbols:
                self._queues[symbol].discard(queue)

    async def _follow(self, symbols: list[str]) -> None:
        async with self._opening:
            new = [symbol for symbol in symbols if symbol not in self._queues]
            if not new:
                return
            for symbol in new:
                self._queues[symbol] = set()
                await self._bus.subscribe(price_subject(symbol), self._hear)
            await self._bus.flush()
            for symbol, fragment in (await self._last_prices.fragments(new)).items():
                self._last.setdefault(symbol, json.loads(fragment))

    async def _hear(self, subject: str, payload: bytes) -> None:
        tick = json.loads(payload)
        self._last[tick["symbol"]] = tick
        for queue in self._queues[tick["symbol"]]:
            queue.put_nowait(tick)


def create_app(settings: Settings) -> FastAPI:
    """The application."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_bus(settings.nats_url, "bench-usual") as bus:
            app.state.prices = Prices(bus)
            yield

    app = FastAPI(lifespan=lifespan)

    @app.post("/subscribe")
    async def subscribe(request: Request, body: Subscription) -> EventSourceResponse:
        prices: Prices = request.app.state.prices
        return EventSourceResponse(prices.stream(body.symbols))

    @app.get("/readyz")
    async def ready() -> dict[str, str]:
        return {"status": "ready"}

    return app


def main() -> None:
    """Serve until SIGTERM."""
    settings = Settings()
    configure_logs(settings, "bench-usual")
    config = uvicorn.Config(
        create_app(settings),
        host=settings.api_host,
        port=settings.api_port,
        http="httptools",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1,
    )
    uvloop.run(uvicorn.Server(config).serve())


if __name__ == "__main__":
    main()
