"""What the bars of given trades are, and what Postgres has of them."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import asyncpg

from brokerage.domain.bars import Bar, BarInterval, span_ms
from brokerage.storage.bar_writes import BarKey, Progress
from exchange.protocol import Trade

Bars = Mapping[BarInterval, Mapping[BarKey, Bar]]


def bars_of(trades: Sequence[Trade]) -> Bars:
    """The bars of these trades, made one by one."""
    bars: dict[BarInterval, dict[BarKey, Bar]] = {one: {} for one in BarInterval}
    for trade in trades:
        for interval, own in bars.items():
            key = (trade.symbol, span_ms(interval, trade.at_ms)[0])
            if key in own:
                own[key].add(trade.price_cents, trade.shares)
            else:
                own[key] = Bar.of_trade(trade.price_cents, trade.shares)
    return bars


class StoredBars:
    """A look at the tables."""

    def __init__(self, database: "asyncpg.Connection[Any]") -> None:
        self.database = database

    async def all(self) -> Bars:
        """Every bar."""
        return {
            interval: {
                (row["symbol"], _ms(row["start"])): Bar(*row[2:])
                for row in await self.database.fetch(
                    "SELECT symbol, start, open_cents, high_cents, low_cents, close_cents, volume, "
                    f"notional_cents, trades FROM bars_{interval}"
                )
            }
            for interval in BarInterval
        }

    async def progress(self) -> Progress | None:
        """The last trade in them, None before the first."""
        row = await self.database.fetchrow(
            "SELECT session, trade_seq, traded_at FROM bar_progress WHERE session IS NOT NULL"
        )
        return None if row is None else Progress(row[0], row[1], _ms(row[2]))

    async def reach(self, trade_seq: int) -> bool:
        """Whether that trade is in them."""
        progress = await self.progress()
        return progress is not None and progress.trade_seq >= trade_seq


@asynccontextmanager
async def stored_bars(database_url: str) -> AsyncIterator[StoredBars]:
    """A look at the tables of the database at that URL."""
    database = await asyncpg.connect(database_url)
    try:
        yield StoredBars(database)
    finally:
        await database.close()


def _ms(time: datetime) -> int:
    return round((time - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000)
