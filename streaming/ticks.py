"""From trades to ticks: the trading day of each symbol, and when its newest state is sent."""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import msgspec

from brokerage.bus.tick import Tick, utc_text, version
from brokerage.contracts.subjects import price_subject
from exchange.protocol import DayStatistics, Trade

INTERVAL_SECONDS: Final = 0.05
"""The least time between two ticks of one symbol: at most 20 a second."""


@dataclass(slots=True)
class SymbolDay:
    """One symbol as of its trade `seq`; the day's numbers include every trade, sent or not."""

    symbol: str
    subject: str
    price_cents: int = 0
    open_cents: int = 0
    high_cents: int = 0
    low_cents: int = 0
    volume: int = 0
    at_ms: int = 0
    seq: int = 0
    day_over: bool = True
    waiting: bool = False
    free_at: float = 0.0


class TickBoard:
    """The newest state of every symbol, and which of them are due.

    The first change after quiet is due at once; later ones together, `INTERVAL_SECONDS` after the
    one before. Times are seconds of any one monotonic clock, given by the caller.
    """

    def __init__(self, epoch: int) -> None:
        self._epoch = epoch
        self._days: dict[str, SymbolDay] = {}
        self._queue: list[tuple[float, int, SymbolDay]] = []
        self._order = 0

    def __len__(self) -> int:
        return len(self._days)

    def start_epoch(self, epoch: int) -> None:
        """Forget all states: the exchange's trade sequence began anew."""
        self._epoch = epoch
        self._days.clear()
        self._queue.clear()

    def raise_epoch(self, epoch: int) -> None:
        """Keep all states; their ticks are of this newer epoch from now on."""
        self._epoch = epoch

    def trade(self, trade: Trade) -> None:
        """Take one print; the caller sees to it that each comes once and in order."""
        price = trade.price_cents
        day = self._days.get(trade.symbol)
        if day is None:
            day = SymbolDay(trade.symbol, price_subject(trade.symbol))
            self._days[trade.symbol] = day
        if day.day_over:
            day.day_over = False
            day.open_cents = day.high_cents = day.low_cents = price
            day.volume = 0
        day.price_cents = price
        day.volume += trade.shares
        day.at_ms = trade.at_ms
        day.seq = trade.seq
        if price > day.high_cents:
            day.high_cents = price
        elif price < day.low_cents:
            day.low_cents = price
        self._changed(day)

    def snapshot(self, statistics: Iterable[DayStatistics]) -> None:
        """Adopt the exchange's own numbers for the symbols it names."""
        for one in statistics:
            day = self._days.get(one.symbol)
            if day is None:
                day = SymbolDay(one.symbol, price_subject(one.symbol))
                self._days[one.symbol] = day
            day.price_cents = one.price_cents
            day.open_cents = one.open_cents
            day.high_cents = one.high_cents
            day.low_cents = one.low_cents
            day.volume = one.volume
            day.at_ms = one.at_ms
            day.seq = one.seq
            day.day_over = False
            self._changed(day)

    def start_day(self) -> None:
        """Open, high, low and volume start anew with each symbol's next trade."""
        for day in self._days.values():
            day.day_over = True

    def due(self, now: float) -> list[SymbolDay]:
        """The symbols to send now, each once; they count as sent."""
        ready: list[SymbolDay] = []
        while self._queue and self._queue[0][0] <= now:
            day = heapq.heappop(self._queue)[2]
            day.waiting = False
            day.free_at = now + INTERVAL_SECONDS
            ready.append(day)
        return ready

    def next_due(self) -> float | None:
        """When the next symbol is due; None if all is sent."""
        return self._queue[0][0] if self._queue else None

    def days(self) -> list[SymbolDay]:
        """Every symbol that ever traded."""
        return list(self._days.values())

    def encode(self, day: SymbolDay) -> bytes:
        """The tick of a symbol's newest state, as every viewer will get it."""
        return msgspec.json.encode(
            Tick(
                day.symbol,
                day.price_cents,
                day.open_cents,
                day.high_cents,
                day.low_cents,
                day.volume,
                utc_text(day.at_ms),
                version(self._epoch, day.seq),
            )
        )

    def _changed(self, day: SymbolDay) -> None:
        if day.waiting:
            return
        day.waiting = True
        self._order += 1
        heapq.heappush(self._queue, (day.free_at, self._order, day))
