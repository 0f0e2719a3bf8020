"""A past made by hand: bars and ledger entries written as their writers would write them."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from functools import cached_property
from math import floor
from typing import Any, Final
from uuid import uuid4
from zoneinfo import ZoneInfo

import asyncpg

from brokerage.domain.valuation import ValuePoint

NEW_YORK: Final = ZoneInfo("America/New_York")

PARTITION_OF: Final[Mapping[str, Callable[[datetime], object]]] = {
    "bars_1s": lambda start: start,
    "bars_1m": lambda start: start.isocalendar()[:2],
    "bars_1d": lambda start: start.year,
}
"""By table, what bars of one partition have in common."""


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
    # One of each partition: making them takes longer than filling them.
    spans = {PARTITION_OF[table](bar.start): bar.start for bar in bars}
    database = await asyncpg.connect(database_url)
    try:
        await database.execute("SELECT make_bar_partitions($1)", list(spans.values()))
        await database.copy_records_to_table(table, records=[bar.row() for bar in bars])
    finally:
        await database.close()


@dataclass(frozen=True)
class Entry:
    """A ledger entry of a user's own account; `cost_cents` only without an order."""

    at: datetime
    asset: str
    amount: int
    by_order: bool = True
    cost_cents: int | None = None


@dataclass(frozen=True)
class Past:
    """All that a value is made of. `value_at` computes it the plain way: everything, every time.

    Where there are `minutes`, `days` are only of the time before them.
    """

    opened_at: datetime
    entries: Sequence[Entry]
    minutes: Sequence[OldBar] = ()
    days: Sequence[OldBar] = ()

    def symbols(self) -> list[str]:
        """What was ever posted but cash."""
        return sorted({entry.asset for entry in self.entries} - {"USD"})

    def value_at(self, at: datetime, live: Mapping[str, int] | None = None) -> ValuePoint:
        """The account at one time; with `live` prices now: all is booked, every bar counts."""
        booked = [entry for entry in self.entries if entry.at <= at or live is not None]
        cash = sum(entry.amount for entry in booked if entry.asset == "USD")
        value, unpriced = cash, []
        for symbol in self.symbols():
            shares = sum(entry.amount for entry in booked if entry.asset == symbol)
            price = self._price(symbol, booked, at, live)
            if shares and price is None:
                unpriced.append(symbol)
            elif price is not None:
                value += floor(shares * price)
        costs = [
            entry.amount if entry.asset == "USD" else entry.cost_cents
            for entry in booked
            if not entry.by_order
        ]
        known = [cost for cost in costs if cost is not None]
        profit = None if unpriced or len(known) < len(costs) else value - sum(known)
        return ValuePoint(at, None if unpriced else value, cash, profit, tuple(unpriced))

    def _price(
        self,
        symbol: str,
        booked: Sequence[Entry],
        at: datetime,
        live: Mapping[str, int] | None,
    ) -> Fraction | None:
        if live and symbol in live:
            return Fraction(live[symbol])
        given = [entry for entry in booked if entry.asset == symbol and entry.cost_cents]
        shares = sum(entry.amount for entry in given)
        cost = Fraction(sum(entry.cost_cents or 0 for entry in given), shares) if shares else None
        if at == self.opened_at and cost is not None:
            return cost
        over = [
            (start, close_cents)
            for start, end, close_cents in self._spans[symbol]
            if end <= at or (live is not None and start < at)
        ]
        return Fraction(max(over)[1]) if over else cost

    @cached_property
    def _spans(self) -> Mapping[str, list[tuple[datetime, datetime, int]]]:
        spans = defaultdict(list)
        for bar in self.minutes:
            end = bar.start + timedelta(minutes=1)
            spans[bar.symbol].append((bar.start, end, bar.close_cents))
        for bar in self.days:
            spans[bar.symbol].append((bar.start, end_of_day(bar.start), bar.close_cents))
        return spans


def end_of_day(start: datetime) -> datetime:
    """Where a day bar ends: at the next midnight in New York."""
    midnight = start.astimezone(NEW_YORK).replace(tzinfo=None) + timedelta(days=1)
    return midnight.replace(tzinfo=NEW_YORK).astimezone(UTC)


async def put_account(database_url: str, user_id: str, past: Past) -> None:
    """Write an account, its entries and the other side of each, and the bars."""
    database = await asyncpg.connect(database_url)
    try:
        balances: Counter[str] = Counter()
        for entry in past.entries:
            balances[entry.asset] += entry.amount
        await database.execute(
            "INSERT INTO accounts (user_id, opened_at, cash_cents) VALUES ($1, $2, $3)",
            user_id,
            past.opened_at,
            balances.pop("USD", 0),
        )
        await database.executemany(
            "INSERT INTO positions (user_id, symbol, shares) VALUES ($1, $2, $3)",
            [(user_id, symbol, shares) for symbol, shares in balances.items()],
        )
        await put_entries(database, user_id, past.entries)
    finally:
        await database.close()
    for table, bars in (("bars_1m", past.minutes), ("bars_1d", past.days)):
        if bars:
            await put_bars(database_url, table, bars)


async def put_entries(
    database: "asyncpg.Connection[Any]", user_id: str, entries: Sequence[Entry]
) -> None:
    """Post entries to the user's own account, each a source of its own; balances stay as they are.

    One statement: each source sums to zero, as the database demands.
    """
    columns = zip(
        *(
            (
                source,
                leg,
                account,
                entry.asset,
                sign * entry.amount,
                uuid4() if entry.by_order else None,
                None if entry.cost_cents is None else sign * entry.cost_cents,
                entry.at,
            )
            for source, entry in ((str(uuid4()), entry) for entry in entries if entry.amount)
            for leg, account, sign in ((1, "user", 1), (2, "clearing", -1))
        ),
        strict=True,
    )
    await database.execute(
        """
        INSERT INTO ledger_entries
            (user_id, source, leg, account, asset, amount, order_id, cost_cents, booked_at)
        SELECT $1, * FROM unnest($2::text[], $3::smallint[], $4::text[], $5::text[], $6::bigint[],
            $7::uuid[], $8::bigint[], $9::timestamptz[])
        """,
        user_id,
        *map(list, columns),
    )
