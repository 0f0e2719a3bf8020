"""Bars as they are read: pages of one symbol's, and the closes at given times of many.

Three intervals are stored; the others are summed from minutes while they are read, so that no trade
is counted in two places that could come to differ.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import asyncpg
import msgspec

from brokerage.domain.timeline import Timeline, day_begin
from brokerage.storage.pool import Pool, connection

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
LONG_AGO: Final = datetime(2, 1, 1, tzinfo=UTC)
FAR_AHEAD: Final = datetime(9999, 1, 1, tzinfo=UTC)
"""Beyond these, a day more or less is a time that Python does not have."""


class BarItem(
    msgspec.Struct,
    frozen=True,
    gc=False,
    rename={
        "start": "at",
        "open_cents": "openInCents",
        "high_cents": "highInCents",
        "low_cents": "lowInCents",
        "close_cents": "closeInCents",
        "notional_cents": "notionalInCents",
    },
):
    """What was traded of a symbol from `start` on, for one interval; `volume` is shares.

    A struct with its names on the wire: a page has thousands, and they are encoded as they are.
    """

    start: datetime
    open_cents: int
    high_cents: int
    low_cents: int
    close_cents: int
    volume: int
    notional_cents: int
    trades: int


@dataclass(frozen=True, slots=True)
class Interval:
    """How long a bar is, which table it comes from, and for how long that is kept (None: for ever).

    `parts` stored bars make one; a bar of several begins at a multiple of `length` in UTC.
    """

    table: str
    length: timedelta
    kept: timedelta | None
    parts: int = 1

    def kept_from(self, now: datetime) -> datetime:
        """The time from which on every bar is there; whole hours, so that it stands still a while.

        Partitions end on whole hours and go when all of them is too old.
        """
        if self.kept is None:
            return LONG_AGO
        return (now - self.kept).replace(minute=0, second=0, microsecond=0)

    def not_before(self, at: datetime) -> datetime:
        """`at`, or the next beginning of a bar: where the first bar at or after `at` may begin."""
        if self.parts == 1:
            return at
        return at + (EPOCH - at) % self.length


_MINUTES_KEPT: Final = timedelta(days=90)

INTERVALS: Final[Mapping[str, Interval]] = {
    "1s": Interval("bars_1s", timedelta(seconds=1), timedelta(days=2)),
    "1m": Interval("bars_1m", timedelta(minutes=1), _MINUTES_KEPT),
    "5m": Interval("bars_1m", timedelta(minutes=5), _MINUTES_KEPT, parts=5),
    "15m": Interval("bars_1m", timedelta(minutes=15), _MINUTES_KEPT, parts=15),
    "1h": Interval("bars_1m", timedelta(hours=1), _MINUTES_KEPT, parts=60),
    # A day is the exchange's: midnight to midnight in New York.
    "1d": Interval("bars_1d", timedelta(days=1), None),
}
"""By the name clients use."""

_COLUMNS: Final = (
    "start, open_cents, high_cents, low_cents, close_cents, volume, notional_cents, trades"
)

_STORED: Final = """
SELECT {columns} FROM {table}
WHERE symbol = $1 AND start >= $2 AND start < $3 ORDER BY start {direction} LIMIT $4::bigint
"""

# The inner limit holds as many minutes as the asked bars can have, so that not the whole range is
# read: they are either all complete, or there are more of them than were asked for.
_SUMMED: Final = """
SELECT date_bin($5::interval, start, 'epoch') AS start,
    (array_agg(open_cents ORDER BY start))[1] AS open_cents,
    max(high_cents) AS high_cents, min(low_cents) AS low_cents,
    (array_agg(close_cents ORDER BY start DESC))[1] AS close_cents,
    sum(volume)::bigint AS volume, sum(notional_cents)::bigint AS notional_cents,
    sum(trades)::bigint AS trades
FROM (
    SELECT {columns} FROM {table}
    WHERE symbol = $1 AND start >= $2 AND start < $3
    ORDER BY start {direction} LIMIT $4::bigint * $6::bigint
) AS part
GROUP BY 1 ORDER BY 1 {direction} LIMIT $4::bigint
"""


async def bars_page(
    pool: "Pool[asyncpg.Record]",
    symbol: str,
    interval: Interval,
    *,
    begin: datetime,
    end: datetime,
    limit: int,
    newest: bool,
) -> list[BarItem]:
    """At most `limit` bars that begin in [begin, end), ascending: the newest of them, or the first.

    Raises `DatabaseUnavailable`.
    """
    statement = (_STORED if interval.parts == 1 else _SUMMED).format(
        columns=_COLUMNS, table=interval.table, direction="DESC" if newest else "ASC"
    )
    bounds = interval.not_before(begin), interval.not_before(end)
    parts = (interval.length, interval.parts) if interval.parts > 1 else ()
    async with connection(pool) as database:
        rows = await database.fetch(statement, symbol, *bounds, limit, *parts)
    bars = [BarItem(*row) for row in rows]
    return bars[::-1] if newest else bars


# A look-up each, in the one partition that can have it: a scan would read every minute in between.
_CLOSES: Final = """
SELECT held.symbol,
    ARRAY(
        SELECT (
            SELECT close_cents FROM {table} AS bar
            WHERE bar.symbol = held.symbol AND bar.start >= step.after AND bar.start < step.until
            ORDER BY bar.start DESC LIMIT 1
        )
        FROM unnest($2::timestamptz[], $3::timestamptz[])
            WITH ORDINALITY AS step (after, until, number)
        ORDER BY number
    ) AS closes,
    (
        SELECT close_cents FROM bars_1d AS bar
        WHERE bar.symbol = held.symbol AND bar.start < $4 ORDER BY bar.start DESC LIMIT 1
    ) AS close_of_days
FROM unnest($1::text[]) AS held (symbol)
"""


async def closes_at(
    pool: "Pool[asyncpg.Record]", symbols: Sequence[str], line: Timeline
) -> dict[str, list[int | None]]:
    """By symbol, for each point of `line`: the last close since the point before, if there was one.

    The first is the last close of all before it: of a day where minutes are no longer kept.
    """
    until = line.closed_until()
    async with connection(pool) as database:
        rows = await database.fetch(
            _CLOSES.format(table="bars_1d" if line.step.is_daily else "bars_1m"),
            symbols,
            [LONG_AGO, *until[:-1]],
            until,
            day_begin(line.points[0]),
        )
    found: dict[str, list[int | None]] = {}
    for symbol, closes, close_of_days in rows:
        first = close_of_days if closes[0] is None else closes[0]
        found[symbol] = [first, *closes[1:]]
    return found
