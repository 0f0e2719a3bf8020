"""The connection to the exchange's feed: follow both sequences, ask again for what is missing."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from itertools import groupby
from typing import Final, Protocol
from urllib.parse import urlencode, urlsplit

import msgspec
import structlog
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from brokerage.runtime.backoff import Backoff
from exchange.protocol import (
    Bust,
    Correction,
    DayStart,
    End,
    Execution,
    FeedMessage,
    Heartbeat,
    Hello,
    MemberMessage,
    Snapshot,
    Trade,
    TradingStatus,
)
from streaming import feed_metrics
from streaming.bars import BarBook
from streaming.forwarding import Forwarder
from streaming.publisher import TickPublisher
from streaming.ticks import TickBoard

log = structlog.get_logger()

SILENCE_SECONDS: Final = 3.0
"""Without a heartbeat for this long the connection counts as dead."""
OPEN_SECONDS: Final = 5.0
LOCATE_SECONDS: Final = 0.5
RECONNECT: Final = Backoff(0.05, 1.0)
STEADY_SECONDS: Final = 5.0
"""A connection that lived this long was a good one: the next attempt is made at once."""
FRAME_BYTES_MAX: Final = 16 * 1024 * 1024

_decode = msgspec.json.Decoder(list[FeedMessage]).decode


class FeedBroken(Exception):
    """The connection cannot be followed further; a new one asks for what is missing."""


class Followed(Protocol):
    """Who wants to know how the following goes."""

    def greeted(self, hello: Hello) -> None:
        """The exchange said who it is."""

    async def counts_anew(self) -> None:
        """The exchange's trades are numbered from their beginning again: a new epoch is due."""

    async def alive(self, at_ms: int, trade_seq: int, trading: TradingStatus) -> None:
        """The exchange spoke, at `at_ms` or a little later by its own clock.

        All trades up to `trade_seq` are on the board; `trading` is the newest it said of that.
        """


class Following:
    """Follows the exchange's feed onto the board and into the bars; member messages go to the
    forwarder. The bars may lack trades that the board has: a connection replays from what either
    needs, and each leaves out what it knows.

    `run` ends by cancellation only: whatever happens to the exchange is waited out.
    """

    def __init__(
        self,
        exchange_url: str,
        member: str,
        board: TickBoard,
        publisher: TickPublisher,
        bars: BarBook,
        forwarder: Forwarder,
        followed: Followed,
    ) -> None:
        self._url = feed_url(exchange_url)
        self._member = member
        self._board = board
        self._publisher = publisher
        self._bars = bars
        self._forwarder = forwarder
        self._followed = followed
        self._trade_seq: int | None = None  # the last on the board
        self._came_seq: int | None = None  # the last that this connection brought or need not
        self._asked_trade_seq: int | None = None
        self._asked_member_seq = 0
        self._caught_up = False  # the replay that opens a connection is done
        self._trading: TradingStatus | None = None  # as this connection said it last
        self._news_at_ms = 0  # of a snapshot or a trading status that nobody was told of yet
        self.heard = time.monotonic()
        self._handlers: dict[type, Callable[..., Awaitable[None] | None]] = {
            Heartbeat: self._heartbeat,
            Hello: self._hello,
            TradingStatus: self._trading_status,
            Snapshot: self._snapshot,
            DayStart: self._day_start,
            Execution: self._member_message,
            Bust: self._member_message,
            Correction: self._member_message,
            End: self._member_message,
        }

    async def run(self) -> None:
        """Connect, follow, connect again."""
        try:
            async with asyncio.timeout(LOCATE_SECONDS):
                await self._forwarder.located.wait()
        except TimeoutError:
            # Prices do not wait for the executions' stream; those are replayed when it is there.
            log.warning("feed_starts_without_executions")
        attempt = 0
        while True:
            began = time.monotonic()
            try:
                await self._connection()
            except (FeedBroken, OSError, TimeoutError, WebSocketException) as error:
                log.warning("feed_disconnected", cause=repr(error), attempt=attempt)
            except msgspec.DecodeError as error:
                log.error("feed_unreadable", cause=str(error), attempt=attempt)  # noqa: TRY400 - the text says it all
            attempt = 0 if time.monotonic() - began > STEADY_SECONDS else attempt + 1
            await asyncio.sleep(RECONNECT.pause_seconds(attempt + 1))

    async def _connection(self) -> None:
        self._asked_member_seq = self._forwarder.taken_seq
        query = {"member": self._member, "afterMember": str(self._asked_member_seq)}
        self._asked_trade_seq = self._came_seq = self._trades_wanted_after()
        if self._asked_trade_seq is not None:
            query["afterTrade"] = str(self._asked_trade_seq)
        async with connect(
            f"{self._url}?{urlencode(query)}",
            open_timeout=OPEN_SECONDS,
            close_timeout=1,
            ping_interval=None,  # the exchange's heartbeats tell more than a pong does
            compression=None,
            max_size=FRAME_BYTES_MAX,
            proxy=None,
        ) as connection:
            feed_metrics.CONNECTS.inc()
            log.info("feed_connected", **query)
            self._forwarder.connected()
            self.heard = time.monotonic()
            self._caught_up = False
            await self._read(connection)

    def _trades_wanted_after(self) -> int | None:
        wanted = self._bars.wanted_after
        if self._trade_seq is None or wanted is None:
            return self._trade_seq
        return min(self._trade_seq, wanted)

    async def _read(self, connection: ClientConnection) -> None:
        loop = asyncio.get_running_loop()
        while True:
            left = self.heard + SILENCE_SECONDS - time.monotonic()
            async with asyncio.timeout_at(loop.time() + left):
                frame = await connection.recv(decode=False)
            if not self._caught_up:
                self.heard = time.monotonic()  # a long replay is no silence
            for kind, messages in groupby(_decode(frame), type):
                if kind is Trade:
                    self._trades(list(messages))  # type: ignore[arg-type]
                    continue
                for message in messages:
                    waits = self._handlers[kind](message)
                    if waits is not None:
                        await waits
            await self._publisher.flush()
            if self._news_at_ms:
                # Not at the next heartbeat: until readers hear of a new owner they are without, and
                # until they hear of a halt they take orders that the exchange will refuse.
                await self._alive(self._news_at_ms)
                self._news_at_ms = 0
            if self._forwarder.wants_replay:
                raise FeedBroken("executions that were left out are asked for again")
            # Not before the board has its snapshot: prices come first.
            if self._bars.wants_replay and self._trade_seq is not None:
                raise FeedBroken("trades that the bars lack are asked for")

    async def _hello(self, hello: Hello) -> None:
        self._followed.greeted(hello)
        self._trading = hello.trading
        self._bars.connected(hello.session, hello.trade_seq, self._asked_trade_seq)
        forwarder = self._forwarder
        # The stream remembers the session of what it has, so a run before ours counts too.
        other = bool(forwarder.session) and hello.session != forwarder.session
        forwarder.session = hello.session
        if other or hello.member_seq < forwarder.taken_seq:
            feed_metrics.RESTARTED.labels("member").inc()
            log.error(
                "member_sequence_restarted", ours=forwarder.taken_seq, theirs=hello.member_seq
            )
            # Every report has an id of its own, so taking all of them again does no harm.
            forwarder.resume_from(0)
        trades_restarted = self._trade_seq is not None and (
            other or hello.trade_seq < self._trade_seq
        )
        if trades_restarted:
            feed_metrics.RESTARTED.labels("trade").inc()
            log.error("trade_sequence_restarted", ours=self._trade_seq, theirs=hello.trade_seq)
            self._trade_seq = None
            await self._followed.counts_anew()
        if trades_restarted or forwarder.taken_seq != self._asked_member_seq:
            raise FeedBroken("the exchange counts anew: ask again from its beginning")

    def _snapshot(self, snapshot: Snapshot) -> None:
        self._board.snapshot(snapshot.symbols)
        self._trade_seq = self._came_seq = snapshot.trade_seq
        self._news_at_ms = max((one.at_ms for one in snapshot.symbols), default=0)
        if self._asked_trade_seq is not None:
            # It stands in for what was asked for.
            self._bars.skip_to(snapshot.trade_seq)

    def _trading_status(self, status: TradingStatus) -> None:
        if self._trading is None or status.version > self._trading.version:
            self._trading = status
            self._news_at_ms = status.at_ms

    def _day_start(self, day: DayStart) -> None:
        if self._trade_seq is None or day.trade_seq >= self._trade_seq:
            self._board.start_day()

    def _trades(self, trades: Sequence[Trade]) -> None:
        came_seq = self._came_seq
        if came_seq is None:
            raise FeedBroken("a trade came before any snapshot")
        # Thousands a frame where the feed is fast, so the usual case is looked at as a whole.
        if [trade.seq for trade in trades] == list(range(came_seq + 1, came_seq + 1 + len(trades))):
            self._take(trades)
            return
        following: list[Trade] = []
        for trade in trades:
            if trade.seq == came_seq + 1:
                following.append(trade)
                came_seq += 1
            elif trade.seq > came_seq:
                self._take(following)
                raise self._gap("trade", came_seq, trade.seq)
        self._take(following)

    def _take(self, trades: Sequence[Trade]) -> None:
        """Take trades that follow one another, the first right after those that came before."""
        if not trades:
            return
        self._came_seq = last_seq = trades[-1].seq
        self._bars.take(trades)
        board_seq = self._trade_seq
        if board_seq is None or board_seq >= last_seq:
            return
        on_board = self._board.trade
        news = trades[max(0, board_seq + 1 - trades[0].seq) :]
        for trade in news:
            on_board(trade)
        self._trade_seq = last_seq
        feed_metrics.TRADES.inc(len(news))

    def _member_message(self, message: MemberMessage) -> None:
        if self._forwarder.refusing or message.seq <= self._forwarder.taken_seq:
            return
        if message.seq != self._forwarder.taken_seq + 1:
            raise self._gap("member", self._forwarder.taken_seq, message.seq)
        self._forwarder.take(message)

    async def _heartbeat(self, heartbeat: Heartbeat) -> None:
        self.heard = time.monotonic()
        self._caught_up = True
        if self._came_seq is not None and heartbeat.trade_seq > self._came_seq:
            raise self._gap("trade", self._came_seq, heartbeat.trade_seq + 1)
        if not self._forwarder.refusing and heartbeat.member_seq > self._forwarder.taken_seq:
            raise self._gap("member", self._forwarder.taken_seq, heartbeat.member_seq + 1)
        if self._trading is not None and heartbeat.trading_version > self._trading.version:
            raise self._gap("trading", self._trading.version, heartbeat.trading_version)
        await self._alive(heartbeat.at_ms)

    async def _alive(self, at_ms: int) -> None:
        if self._trade_seq is not None and self._trading is not None:
            await self._followed.alive(at_ms, self._trade_seq, self._trading)

    def _gap(self, sequence: str, last: int, came: int) -> FeedBroken:
        feed_metrics.GAPS.labels(sequence).inc()
        return FeedBroken(f"{sequence} sequence jumps from {last} to {came}")


def feed_url(exchange_url: str) -> str:
    """The websocket address of the feed of the exchange at `exchange_url` (http or https)."""
    parts = urlsplit(exchange_url)
    scheme = "wss" if parts.scheme == "https" else "ws"
    return f"{scheme}://{parts.netloc}{parts.path.rstrip('/')}/v1/feed"
