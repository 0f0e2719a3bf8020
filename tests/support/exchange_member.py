"""A member of the simulated exchange, for tests, and an exchange of its own."""

import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import httpx
import msgspec
from websockets.asyncio.client import ClientConnection, connect

from devstack.day_end import far_day_end
from exchange import protocol
from tests.support.ports import free_port
from tests.support.running import Running, start

T = TypeVar("T")
MemberMessage = protocol.MemberMessage
_decode_frame = msgspec.json.Decoder(list[protocol.FeedMessage]).decode


def placement(symbol: str = "AAPL", **terms: Any) -> protocol.Placement:
    """Return a buy of 10 at any price, under a new id; `terms` replace any of that."""
    wanted: dict[str, Any] = {
        "client_order_id": uuid4().hex,
        "account": "acct",
        "symbol": symbol,
        "side": "buy",
        "price_cents": 1_000_000,
        "shares": 10,
        "send_by_ms": int(time.time() * 1000) + 60_000,
    }
    return protocol.Placement(**(wanted | terms))


class Feed:
    """One open feed connection, and all it has said so far."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self.messages: list[protocol.FeedMessage] = []

    async def until(self, enough: Callable[[], bool], timeout_seconds: float = 30.0) -> None:
        """Read on until it has said enough."""
        deadline = time.monotonic() + timeout_seconds
        while not enough():
            assert time.monotonic() < deadline, f"the last it said: {self.messages[-1:]}"
            self.messages += _decode_frame(await self._socket.recv(decode=False))

    async def own(self, count: int) -> list[MemberMessage]:
        """Return the first `count` messages of the member's own sequence."""
        await self.until(lambda: len(self.said_to_member()) >= count)
        return self.said_to_member()[:count]

    def said_to_member(self) -> list[MemberMessage]:
        """Return the messages of the member's own sequence."""
        return [message for message in self.messages if isinstance(message, MemberMessage)]

    def own_seq(self) -> int:
        """Return the number of the newest message to the member."""
        return max((message.seq for message in self.said_to_member()), default=0)

    def of(self, kind: type[T]) -> list[T]:
        """Return the messages of one kind."""
        return [message for message in self.messages if isinstance(message, kind)]


class Member:
    """One member, over an HTTP client of its own."""

    def __init__(self, url: str, name: str, http: httpx.AsyncClient) -> None:
        self.url, self.name, self.http = url, name, http

    async def place(self, order: protocol.Placement) -> protocol.PlacementReply:
        """Place one order."""
        answer = await self._post("/v1/orders", order)
        return msgspec.json.decode(answer, type=protocol.PlacementReply)

    async def place_all(self, *orders: protocol.Placement) -> list[protocol.PlacementReply]:
        """Place a batch."""
        answer = await self._post("/v1/orders/batch", protocol.PlacementBatch([*orders]))
        return msgspec.json.decode(answer, type=protocol.PlacementBatchReply).replies

    async def cancel(self, client_order_id: str) -> protocol.CancelReply:
        """Cancel by the member's own id."""
        answer = await self._post("/v1/cancels", protocol.Cancellation(client_order_id))
        return msgspec.json.decode(answer, type=protocol.CancelReply)

    async def cancel_all(self, **selection: str) -> list[protocol.OrderReport]:
        """Cancel all live orders, or some."""
        answer = await self._post("/v1/cancels/all", protocol.MassCancellation(**selection))
        return msgspec.json.decode(answer, type=protocol.MassCancelReply).cancelled

    async def order(self, client_order_id: str) -> protocol.OrderReport | None:
        """Return the order, None if there is none."""
        answer = await self.http.get(f"/v1/orders/by-client-id/{client_order_id}")
        if answer.status_code == 404:
            return None
        assert answer.status_code == 200, answer.text
        return msgspec.json.decode(answer.content, type=protocol.OrderReport)

    async def orders(self, limit: int = 1000) -> list[protocol.OrderReport]:
        """Return all orders, page by page."""
        found: list[protocol.OrderReport] = []
        after: str | None = "0"
        while after is not None:
            answer = await self.http.get(f"/v1/orders?after={after}&limit={limit}")
            page = msgspec.json.decode(answer.content, type=protocol.OrderPage)
            found += page.items
            after = page.next_after
        return found

    async def executions(self, limit: int = 1000) -> list[protocol.Execution]:
        """Return all executions, page by page."""
        found: list[protocol.Execution] = []
        after: int | None = 0
        while after is not None:
            answer = await self.http.get(f"/v1/executions?after={after}&limit={limit}")
            page = msgspec.json.decode(answer.content, type=protocol.ExecutionPage)
            found += page.items
            after = page.next_after
        return found

    async def status(self) -> protocol.Status:
        """Return the state of the exchange."""
        answer = await self.http.get("/v1/status")
        return msgspec.json.decode(answer.content, type=protocol.Status)

    async def control(self, path: str, **body: Any) -> dict[str, Any]:
        """Turn a knob of the control panel."""
        answer = await self.http.post(f"/v1/control/{path}", json=body)
        assert answer.is_success, answer.text
        done: dict[str, Any] = answer.json()
        return done

    @asynccontextmanager
    async def feed(
        self, after_member: int | None = None, after_trade: int | None = None
    ) -> AsyncIterator[Feed]:
        """Open the feed."""
        query = f"member={self.name}"
        query += "" if after_member is None else f"&afterMember={after_member}"
        query += "" if after_trade is None else f"&afterTrade={after_trade}"
        url = f"{self.url.replace('http', 'ws', 1)}/v1/feed?{query}"
        async with connect(url, max_size=16_000_000, max_queue=None, proxy=None) as socket:
            yield Feed(socket)

    async def _post(self, path: str, body: msgspec.Struct) -> bytes:
        answer = await self.http.post(path, content=msgspec.json.encode(body))
        assert answer.status_code == 200, answer.text
        return answer.content


@asynccontextmanager
async def member_of(url: str, name: str | None = None) -> AsyncIterator[Member]:
    """Open a member of the exchange at `url`; a new one, unless one is named."""
    named = name or f"member-{uuid4().hex[:8]}"
    headers = {"X-Member": named}
    async with httpx.AsyncClient(
        base_url=url, headers=headers, trust_env=False, timeout=30.0
    ) as http:
        yield Member(url, named, http)


class ExchangeProcess:
    """An exchange on a free port with a journal in `folder`; it can be killed and started again."""

    def __init__(
        self, folder: Path, *options: str, environment: Mapping[str, str] | None = None
    ) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.journal = folder / "exchange.sqlite3"
        self._log = folder / "exchange.log"
        self._options = options
        self._environment = dict(environment or {})
        self.process: Running | None = None

    async def start(self) -> None:
        """Start it, and wait until it is ready."""
        self.process = await start(
            *("exchange", *self._options),
            environment={
                "EXCHANGE_PORT": str(self.port),
                "EXCHANGE_JOURNAL": str(self.journal),
                **far_day_end(),
                **self._environment,
            },
            ready_url=f"{self.url}/readyz",
            log=self._log,
        )

    async def kill(self) -> None:
        """End it as a crash would."""
        assert self.process is not None
        await self.process.kill()

    async def stop(self) -> int:
        """Ask it to stop; return its exit code."""
        assert self.process is not None
        return await self.process.stop()


@asynccontextmanager
async def exchange_process(
    folder: Path, *options: str, environment: Mapping[str, str] | None = None
) -> AsyncIterator[ExchangeProcess]:
    """Run an exchange as long as the block."""
    exchange = ExchangeProcess(folder, *options, environment=environment)
    await exchange.start()
    try:
        yield exchange
    finally:
        await exchange.kill()
