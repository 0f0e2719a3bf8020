"""A past made by hand: bars and ledger entries written as their writers would write them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg


@dataclass(frozen=True)
class OldBar:
    """A bar of one price range; what a test does not care about is made up to fit."""

    symbol: str
    start: datetime
    close_cents: int
    open_cents: int | None = None
    high_cents: int | None = None
    low_cents: int | None = None
    volume: int = 100
    trades: int = 1

    def row(self) -> tuple[Any, ...]:
        """Its columns; the notional is that of the close."""
        opened = self.close_cents if self.open_cents is None else self.open_cents
        return (
            self.symbol,
            self.start,
            opened,
            max(opened, self.close_cents) if self.high_cents is None else self.high_cents,
            min(opened, self.close_cents) if self.low_cents is None else self.low_cents,
            self.close_cents,
            self.volume,
            self.volume * self.close_cents,
            self.trades,
        )


async def put_bars(database_url: str, table: str, bars: Sequence[OldBar]) -> None:
    """Write bars, in partitions that are made for them."""
    database = await asyncpg.connect(database_url)
    try:
        await database.execute("SELECT make_bar_partitions($1)", [bar.start for bar in bars])
        await database.copy_records_to_table(table, records=[bar.row() for bar in bars])
    finally:
        await database.close()
