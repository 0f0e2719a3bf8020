"""The one connection to the exchange's feed: follow both sequences, publish what they bring."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import urlencode, urlsplit

import msgspec
import structlog
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from brokerage.bus.connection import Bus, BusUnavailable
from brokerage.bus.market_facts import MarketFacts
from brokerage.bus.streams import ensure_streams
from brokerage.contracts.subjects import FEED_BEAT
from exchange.protocol import (
    Bust,
    Correction,
    DayStart,
    End,
    Execution,
    FeedMessage,
    Heartbeat,
    Hello,
    Snapshot,
    Trade,
)
from streaming import feed_metrics
from streaming.forwarding import Forwarder, MemberMessage, SettledUnknown
from streaming.publisher import TickPublisher
from streaming.ticks import TickBoard

log = structlog.get_logger()

SILENCE_SECONDS: Final = 3.0
"""Without a heartbeat for this long the connection counts as dead."""
OPEN_SECONDS: Final = 5.0
LOCATE_SECONDS: Final = 2.0
BACKOFF_SECONDS_MAX: Final = 1.0
STEADY_SECONDS: Final = 5.0
"""A connection that lived this long was a good one: the next attempt is made at once."""
FRAME_BYTES_MAX: Final = 16 * 1024 * 1024

_decode = msgspec.json.Decoder(list[FeedMessage]).decode


class FeedBroken(Exception):
    """The connection cannot be followed further; a new one asks for what is missing."""


class Feed:
    """Follows the exchange's feed and publishes ticks; member messages go to the forwarder.

    `run` and what it starts end by cancellation only: whatever happens to the exchange or to NATS
    is waited out.
    """

    def __init__(
        self,
        exchange_url: str,
        member: str,
        bus: Bus,
        facts: MarketFacts,
        forwarder: Forwarder,
        on_live: Callable[[], None],
    ) -> None:
        self._url = feed_url(exchange_url)
        self._member = member
        self._bus = bus
        self._facts = facts
        self._forwarder = forwarder
        self._on_live = on_live
        self._board = TickBoard(epoch=0)
        self._publisher = TickPublisher(bus, self._board)
        self._trade_seq: int | None = None
        self._asked_member_seq = 0
        self._heard = time.monotonic()
        self._caught_up = False  # the replay that opens a connection is done
        self._directory = b""
        self._directory_changed = asyncio.Event()
        self._bus_came_back = asyncio.Event()
        self._handlers: dict[type, Callable[..., Awaitable[None] | None]] = {
            Trade: self._trade,
            Heartbeat: self._heartbeat,
            Hello: self._hello,
            Snapshot: self._snapshot,
            DayStart: self._day_start,
            Execution: self._member_message,
            Bust: self._member_message,
            Correction: self._member_message,
            End: self._member_message,
        }

    async def run(self) -> None:
        """Claim an epoch, then follow the feed for ever."""
        self._bus.on_reconnect(self._note_bus)
        feed_metrics.AGE.set_function(lambda: time.monotonic() - self._heard)
        await self._claim_epoch()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._forwarder.run())
            tasks.create_task(self._publisher.pace())
            tasks.create_task(self._publisher.repair())
            tasks.create_task(self._keep_directory())
            tasks.create_task(self._mend_bus())
            tasks.create_task(self._follow())

    async def _claim_epoch(self) -> None:
        while True:
            try:
                await ensure_streams(self._bus)
                epoch = await self._facts.next_epoch()
            except BusUnavailable as error:
                log.warning("feed_waits_for_bus", error=str(error))
                await asyncio.sleep(random.uniform(0.3, 0.6))
            else:
                log.info("feed_epoch", epoch=epoch)
                # The exchange's snapshot has every symbol whole, so nothing is restored from ours.
                self._board.start_epoch(epoch)
                self._trade_seq = None
                return

    async def _follow(self) -> None:
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
            await asyncio.sleep(
                random.uniform(0, min(BACKOFF_SECONDS_MAX, 0.05 * 2 ** min(attempt, 10)))
            )

    async def _connection(self) -> None:
        self._asked_member_seq = self._forwarder.taken_seq
        query = {"member": self._member, "afterMember": str(self._asked_member_seq)}
        if self._trade_seq is not None:
            query["afterTrade"] = str(self._trade_seq)
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
            self._heard = time.monotonic()
            self._caught_up = False
            await self._read(connection)

    async def _read(self, connection: ClientConnection) -> None:
        loop = asyncio.get_running_loop()
        while True:
            left = self._heard + SILENCE_SECONDS - time.monotonic()
            async with asyncio.timeout_at(loop.time() + left):
                frame = await connection.recv(decode=False)
            if not self._caught_up:
                self._heard = time.monotonic()  # a long replay is no silence
            for message in _decode(frame):
                waits = self._handlers[type(message)](message)
                if waits is not None:
                    await waits
            await self._publisher.flush()
            if self._forwarder.wants_replay:
                raise FeedBroken("executions that were left out are asked for again")

    async def _hello(self, hello: Hello) -> None:
        self._directory = msgspec.json.encode(
            sorted(
                ({"symbol": one.symbol, "name": one.name} for one in hello.listings),
                key=lambda one: one["symbol"],
            )
        )
        self._directory_changed.set()
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
            await self._claim_epoch()
        if trades_restarted or forwarder.taken_seq != self._asked_member_seq:
            raise FeedBroken("the exchange counts anew: ask again from its beginning")

    def _snapshot(self, snapshot: Snapshot) -> None:
        self._board.snapshot(snapshot.symbols)
        self._trade_seq = snapshot.trade_seq

    def _day_start(self, day: DayStart) -> None:
        self._board.start_day()

    def _trade(self, trade: Trade) -> None:
        if self._trade_seq is None:
            raise FeedBroken("a trade came before any snapshot")
        if trade.seq != self._trade_seq + 1:
            if trade.seq <= self._trade_seq:
                return
            raise self._gap("trade", self._trade_seq, trade.seq)
        self._trade_seq = trade.seq
        self._board.trade(trade)
        feed_metrics.TRADES.inc()

    def _member_message(self, message: MemberMessage) -> None:
        if self._forwarder.refusing or message.seq <= self._forwarder.taken_seq:
            return
        if message.seq != self._forwarder.taken_seq + 1:
            raise self._gap("member", self._forwarder.taken_seq, message.seq)
        self._forwarder.take(message)

    async def _heartbeat(self, heartbeat: Heartbeat) -> None:
        self._heard = time.monotonic()
        self._caught_up = True
        if self._trade_seq is not None and heartbeat.trade_seq > self._trade_seq:
            raise self._gap("trade", self._trade_seq, heartbeat.trade_seq + 1)
        if not self._forwarder.refusing and heartbeat.member_seq > self._forwarder.taken_seq:
            raise self._gap("member", self._forwarder.taken_seq, heartbeat.member_seq + 1)
        if not self._bus.connected:
            return
        beat = msgspec.json.encode({"at": heartbeat.at_ms, "tradeSeq": self._trade_seq})
        try:
            await self._bus.publish(FEED_BEAT, beat)
        except BusUnavailable as error:
            log.warning("beat_not_published", error=str(error))
            return
        if self._trade_seq is not None:
            self._on_live()

    def _gap(self, sequence: str, last: int, came: int) -> FeedBroken:
        feed_metrics.GAPS.labels(sequence).inc()
        return FeedBroken(f"{sequence} sequence jumps from {last} to {came}")

    async def _keep_directory(self) -> None:
        while True:
            await self._directory_changed.wait()
            self._directory_changed.clear()
            try:
                if await self._facts.put_directory(self._directory):
                    log.info("directory_stored", bytes=len(self._directory))
            except BusUnavailable as error:
                log.warning("directory_not_stored", error=str(error))
                await asyncio.sleep(random.uniform(0.3, 0.6))
                self._directory_changed.set()

    async def _note_bus(self) -> None:
        self._bus_came_back.set()

    async def _mend_bus(self) -> None:
        """After a reconnection of NATS: its memory is gone, and what was sent meanwhile too."""
        while True:
            await self._bus_came_back.wait()
            self._bus_came_back.clear()
            try:
                await ensure_streams(self._bus)
                await self._publisher.publish_all()
                if self._directory:
                    await self._facts.put_directory(self._directory)
                await self._forwarder.check_stream()
            except (BusUnavailable, SettledUnknown) as error:
                log.warning("bus_not_mended", error=str(error))
                await asyncio.sleep(random.uniform(0.3, 0.6))
                self._bus_came_back.set()
            else:
                log.info("bus_mended", symbols=len(self._board))


def feed_url(exchange_url: str) -> str:
    """The websocket address of the feed of the exchange at `exchange_url` (http or https)."""
    parts = urlsplit(exchange_url)
    scheme = "wss" if parts.scheme == "https" else "ws"
    return f"{scheme}://{parts.netloc}{parts.path.rstrip('/')}/v1/feed"
