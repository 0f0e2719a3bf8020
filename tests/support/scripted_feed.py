"""An exchange's feed whose every message a test decides."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from urllib.parse import parse_qs, urlsplit

import msgspec
from msgspec.structs import replace
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from exchange.protocol import (
    DayStatistics,
    Execution,
    FeedMessage,
    Heartbeat,
    Hello,
    Listing,
    Snapshot,
    Trade,
    TradingStatus,
)
from tests.support.ports import free_port

SYMBOLS = ("AAPL", "BRK.B", "META")
OPEN = TradingStatus(1, "open", "off", 1_790_003_400_000, 1_790_020_800_000, [], 1_790_000_000_000)


class ScriptedFeed:
    """Keeps both sequences as the exchange does, and sends heartbeats while `beating`."""

    def __init__(self, port: int | None = None) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.session = "s1"
        self.at_ms = 1_790_000_000_123
        self.replays_after = 0  # what was traded before is told by a snapshot only
        self.trades: list[Trade] = []
        self.members: list[Execution] = []
        self.queries: list[dict[str, str]] = []
        self.trading = OPEN
        self.beating = True
        self.connections_max = 0
        self._connections: set[ServerConnection] = set()

    @property
    def connected(self) -> bool:
        """True while somebody follows."""
        return bool(self._connections)

    @property
    def connections(self) -> int:
        """How many follow now."""
        return len(self._connections)

    def trade(self, symbol: str, price_cents: int, shares: int = 10) -> Trade:
        """Note the next trade without sending it: `send` does, or a replay."""
        trade = Trade(len(self.trades) + 1, symbol, price_cents, shares, self.at_ms)
        self.trades.append(trade)
        return trade

    def execution(self, order_id: str = "X1") -> Execution:
        """Note the next execution without sending it."""
        seq = len(self.members) + 1
        execution = Execution(
            seq, f"E{self.session}-{seq}", order_id, "account", "AAPL", "buy", 100, 1, seq, 5
        )
        self.members.append(execution)
        return execution

    def halt(self, *symbols: str) -> TradingStatus:
        """Note that these and no others are halted from now on, without saying so."""
        self.trading = replace(self.trading, version=self.trading.version + 1, halted=[*symbols])
        return self.trading

    async def send(self, *messages: FeedMessage) -> None:
        """Send one frame to everybody connected."""
        frame = msgspec.json.encode(list(messages)).decode()
        for connection in list(self._connections):
            # Whoever left a moment ago hears it from a replay.
            with suppress(ConnectionClosed):
                await connection.send(frame)

    async def cut(self) -> None:
        """End all connections without a word."""
        for connection in list(self._connections):
            connection.transport.abort()

    def heartbeat(self) -> Heartbeat:
        """Where both sequences stand, and the version of what is traded."""
        version = self.trading.version
        return Heartbeat(len(self.members), len(self.trades), version, 1_790_000_000_000)

    async def handle(self, connection: ServerConnection) -> None:
        """Greet, replay, then leave it to `send`."""
        assert connection.request is not None
        query = {
            name: values[0]
            for name, values in parse_qs(urlsplit(connection.request.path).query).items()
        }
        self.queries.append(query)
        listings = [Listing(symbol, f"{symbol} Inc.") for symbol in SYMBOLS]
        opening: list[FeedMessage] = [
            Hello(self.session, listings, len(self.members), len(self.trades), 1.0, self.trading)
        ]
        after_trade = int(query.get("afterTrade", -1))
        if self.replays_after <= after_trade <= len(self.trades):
            opening += self.trades[after_trade:]
        else:
            opening.append(Snapshot(len(self.trades), _statistics(self.trades)))
        opening += self.members[int(query["afterMember"]) :]
        await connection.send(msgspec.json.encode(opening).decode())
        self._connections.add(connection)
        self.connections_max = max(self.connections_max, self.connections)
        try:
            await connection.wait_closed()
        finally:
            self._connections.discard(connection)

    async def beat(self) -> None:
        """Heartbeats, faster than the real ones so that tests are."""
        while True:
            if self.beating:
                await self.send(self.heartbeat())
            await asyncio.sleep(0.1)


def _statistics(trades: Sequence[Trade]) -> list[DayStatistics]:
    by_symbol: dict[str, list[Trade]] = {}
    for trade in trades:
        by_symbol.setdefault(trade.symbol, []).append(trade)
    return [
        DayStatistics(
            symbol,
            own[-1].seq,
            own[-1].price_cents,
            own[0].price_cents,
            max(trade.price_cents for trade in own),
            min(trade.price_cents for trade in own),
            sum(trade.shares for trade in own),
            own[-1].at_ms,
        )
        for symbol, own in by_symbol.items()
    ]


@asynccontextmanager
async def scripted_feed(feed: ScriptedFeed | None = None) -> AsyncIterator[ScriptedFeed]:
    """Serve it as long as the block."""
    feed = feed or ScriptedFeed()
    server: Server
    async with serve(feed.handle, "127.0.0.1", feed.port, close_timeout=1) as server:
        async with asyncio.TaskGroup() as tasks:
            beats = tasks.create_task(feed.beat())
            try:
                yield feed
            finally:
                beats.cancel()
        server.close()
