"""What the exchange really traded, from its own public feed."""

import asyncio
import time
from bisect import bisect_right
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from websockets.exceptions import ConnectionClosed

from exchange.protocol import DayStart, FeedMessage, Heartbeat, Hello, Snapshot, Trade
from tests.support.eventually import eventually
from tests.support.exchange_member import Member


class TradesMissed(Exception):
    """Trades are missing before what was heard last: ask the exchange for them."""


class Price(NamedTuple):
    """The newest price of a symbol and its day so far, as a tick must show it."""

    price_cents: int
    open_cents: int
    high_cents: int
    low_cents: int
    volume: int
    at: str


class Moment(NamedTuple):
    """A trade of a symbol by its number, and when we heard of it."""

    heard_at: float
    seq: int


class MarketRecord:
    """Every state that a symbol ever had at the exchange, from the first snapshot on.

    Times are seconds of the clock that the viewers' recordings use, given by the caller.
    """

    def __init__(self) -> None:
        self.trade_seq: int | None = None
        self.session: str | None = None
        self._prices: dict[str, dict[int, Price]] = {}
        self._moments: dict[str, list[Moment]] = {}
        self._day_over: set[str] = set()

    @property
    def last_heard_at(self) -> float:
        """When the newest trade of any symbol was heard."""
        return max(moments[-1].heard_at for moments in self._moments.values())

    @property
    def symbols(self) -> list[str]:
        """Every symbol that traded, in alphabetical order."""
        return sorted(self._prices)

    def price(self, symbol: str, seq: int) -> Price | None:
        """The symbol right after its trade `seq`; None if that was no trade of it."""
        return self._prices.get(symbol, {}).get(seq)

    def moments(self, symbol: str) -> list[Moment]:
        """The symbol's trades in their order."""
        return self._moments.get(symbol, [])

    def last(self, symbol: str, at: float) -> Moment | None:
        """The symbol's newest trade that was heard of until `at`."""
        moments = self.moments(symbol)
        index = bisect_right(moments, at, key=lambda moment: moment.heard_at)
        return moments[index - 1] if index else None

    def hear(self, message: FeedMessage, at: float) -> None:
        """Take one message of the exchange's feed; what was heard before is left out.

        Raises `TradesMissed` at a jump, `ValueError` if the record can never be whole.
        """
        match message:
            case Hello():
                if self.session not in (None, message.session):
                    raise ValueError("the exchange began anew: its trade numbers mean others now")
                self.session = message.session
            case Snapshot():
                self._snapshot(message, at)
            case Heartbeat():
                if self.trade_seq is not None and message.trade_seq > self.trade_seq:
                    raise TradesMissed
            case DayStart():
                # Replayed ones are those we heard, or nothing traded since.
                if message.trade_seq == self.trade_seq:
                    self._day_over = set(self._prices)
            case Trade():
                self._trade(message, at)

    def _snapshot(self, snapshot: Snapshot, at: float) -> None:
        if self.trade_seq is not None:
            raise ValueError("the exchange no longer has the trades that were missed")
        self.trade_seq = snapshot.trade_seq
        for one in snapshot.symbols:
            price = Price(
                one.price_cents,
                one.open_cents,
                one.high_cents,
                one.low_cents,
                one.volume,
                _utc_text(one.at_ms),
            )
            self._note(one.symbol, one.seq, price, at)

    def _trade(self, trade: Trade, at: float) -> None:
        if self.trade_seq is None or trade.seq > self.trade_seq + 1:
            raise TradesMissed
        if trade.seq <= self.trade_seq:
            return
        self.trade_seq = trade.seq
        cents, shares, text = trade.price_cents, trade.shares, _utc_text(trade.at_ms)
        moments = self.moments(trade.symbol)
        if not moments or trade.symbol in self._day_over:
            self._day_over.discard(trade.symbol)
            price = Price(cents, cents, cents, cents, shares, text)
        else:
            day = self._prices[trade.symbol][moments[-1].seq]
            high_cents, low_cents = max(day.high_cents, cents), min(day.low_cents, cents)
            volume = day.volume + shares
            price = Price(cents, day.open_cents, high_cents, low_cents, volume, text)
        self._note(trade.symbol, trade.seq, price, at)

    def _note(self, symbol: str, seq: int, price: Price, at: float) -> None:
        self._prices.setdefault(symbol, {})[seq] = price
        self._moments.setdefault(symbol, []).append(Moment(at, seq))


def _utc_text(at_ms: int) -> str:
    at = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=at_ms)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@asynccontextmanager
async def recording_market(member: Member) -> AsyncIterator[MarketRecord]:
    """Record the public trades as `member` hears them, from its first snapshot on.

    What a fault of the feed keeps from it is asked for again, so the record has no hole.
    """
    record = MarketRecord()
    async with asyncio.TaskGroup() as tasks:
        listening = tasks.create_task(_record(member, record))
        await eventually(lambda: record.trade_seq is not None, "the market is recorded")
        try:
            yield record
        finally:
            listening.cancel()


async def _record(member: Member, record: MarketRecord) -> None:
    while True:
        try:
            async with member.feed(after_trade=record.trade_seq) as feed:
                while True:
                    await feed.until(lambda: bool(feed.messages))
                    messages, feed.messages = feed.messages, []
                    for message in messages:
                        record.hear(message, time.monotonic())
        except (TradesMissed, ConnectionClosed, TimeoutError):
            continue
