"""Bars: what traded in a span of time. Times are milliseconds since 1970, UTC."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

MARKET_ZONE: Final = "America/New_York"
"""A day bar is a calendar day here, where the exchange is: also when its clocks are put back."""


class BarInterval(StrEnum):
    """The spans that are kept; longer ones are sums of these."""

    SECOND = "1s"
    MINUTE = "1m"
    DAY = "1d"


@dataclass(slots=True)
class Bar:
    """The trades of one symbol in one span: prices in cents, volume in shares."""

    open_cents: int
    high_cents: int
    low_cents: int
    close_cents: int
    volume: int
    notional_cents: int
    trades: int

    @classmethod
    def of_trade(cls, price_cents: int, shares: int) -> "Bar":
        """The bar of a single trade."""
        return cls(
            price_cents, price_cents, price_cents, price_cents, shares, price_cents * shares, 1
        )

    def add(self, price_cents: int, shares: int) -> None:
        """Take in the next trade."""
        if price_cents > self.high_cents:
            self.high_cents = price_cents
        elif price_cents < self.low_cents:
            self.low_cents = price_cents
        self.close_cents = price_cents
        self.volume += shares
        self.notional_cents += price_cents * shares
        self.trades += 1


def span_ms(interval: BarInterval, at_ms: int) -> tuple[int, int]:
    """Start and end of the bar that `at_ms` falls into; the end is the next one's start."""
    if interval is BarInterval.DAY:
        return _day_ms(at_ms)
    length_ms = 1_000 if interval is BarInterval.SECOND else 60_000
    start_ms = at_ms - at_ms % length_ms
    return start_ms, start_ms + length_ms


def _day_ms(at_ms: int) -> tuple[int, int]:
    zone = ZoneInfo(MARKET_ZONE)
    day = datetime.fromtimestamp(at_ms // 1000, UTC).astimezone(zone).date()
    # Midnight of each date by itself: a day is 23 or 25 hours when the clocks change.
    start, end = (
        datetime(date.year, date.month, date.day, tzinfo=zone)
        for date in (day, day + timedelta(days=1))
    )
    return int(start.timestamp()) * 1000, int(end.timestamp()) * 1000
