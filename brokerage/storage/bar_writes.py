"""How bars are stored: with the number of the last trade in them, by the newest epoch alone."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, Final

import asyncpg
import structlog

from brokerage.domain.bars import Bar, BarInterval, span_ms
from brokerage.runtime.settings import Settings
from brokerage.storage.pool import (
    USUAL,
    Connection,
    DatabaseUnavailable,
    Limits,
    Pool,
    connection,
    open_pool,
)

log = structlog.get_logger()

FEED: Final = "exchange"
"""The feed whose progress this is; there is one so far."""
WRITE_SECONDS: Final = 30.0
"""What had to wait for Postgres goes out in one transaction: bars and progress part nowhere."""
STATEMENT_ROWS_MAX: Final = 2_000
"""Encoding more at once would hold up prices for milliseconds."""
PARTITION_MS: Final = 6 * 3_600_000
"""The shortest partition; the longer ones begin where one of these does."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

BarKey = tuple[str, int]
"""Symbol, and the start of the bar in milliseconds since 1970."""

_TABLES: Final = {
    BarInterval.SECOND: "bars_1s",
    BarInterval.MINUTE: "bars_1m",
    BarInterval.DAY: "bars_1d",
}

_UPSERT: Final = """
INSERT INTO {table}
    (symbol, start, open_cents, high_cents, low_cents, close_cents, volume, notional_cents, trades)
SELECT * FROM unnest(
    $1::text[], $2::timestamptz[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[],
    $7::bigint[], $8::bigint[], $9::integer[]
)
ON CONFLICT (symbol, start) DO UPDATE SET
    open_cents = excluded.open_cents, high_cents = excluded.high_cents,
    low_cents = excluded.low_cents, close_cents = excluded.close_cents,
    volume = excluded.volume, notional_cents = excluded.notional_cents, trades = excluded.trades
"""

# Symbols are given, so that the key's index is enough: none is kept by time alone.
_OPEN: Final = """
SELECT symbol, open_cents, high_cents, low_cents, close_cents, volume, notional_cents, trades
FROM {table} WHERE start = $1 AND symbol = ANY ($2::text[])
"""

_CLAIM: Final = """
INSERT INTO bar_progress AS held (feed, epoch) VALUES ($1, $2)
ON CONFLICT (feed) DO UPDATE SET epoch = excluded.epoch WHERE held.epoch <= excluded.epoch
RETURNING session, trade_seq, traded_at
"""

# The row stays locked until the bars are stored too: a newer owner's claim waits for that.
_ADVANCE: Final = """
UPDATE bar_progress SET session = $3, trade_seq = $4, traded_at = $5
WHERE feed = $1 AND epoch = $2 RETURNING true
"""


class Superseded(Exception):
    """A newer owner of the feed writes the bars; `epoch` is its number."""

    def __init__(self, epoch: int) -> None:
        super().__init__(f"epoch {epoch} writes the bars")
        self.epoch = epoch


@dataclass(frozen=True, slots=True)
class Progress:
    """The last trade that is in the bars: its number in the exchange's `session`, and when."""

    session: str
    trade_seq: int
    traded_at_ms: int


class BarStore:
    """The tables of bars. Everything raises `DatabaseUnavailable` when nothing is known to be done.

    Whatever Postgres says no to is counted as that: bars are repeated from the exchange, and prices
    must not stop for them.
    """

    def __init__(self, pool: "Pool[asyncpg.Record]") -> None:
        self._pool = pool
        self._partitioned: frozenset[int] = frozenset()

    async def claim(self, epoch: int) -> Progress | None:
        """Shut out every older epoch; how far the bars are, None if there are none yet.

        Raises `Superseded` if a newer one was here.
        """
        async with self._connection() as database, database.transaction():
            row = await database.fetchrow(_CLAIM, FEED, epoch)
            if row is None:
                raise Superseded(await _newest_epoch(database))
        if row["session"] is None:
            return None
        return Progress(row["session"], row["trade_seq"], _ms(row["traded_at"]))

    async def open_bars(self, at_ms: int) -> dict[BarInterval, dict[str, Bar]]:
        """The bars of the second, minute and day that `at_ms` falls into, by symbol."""
        async with self._connection(WRITE_SECONDS) as database:
            # A symbol that traded in this second did so on this day.
            symbols = await database.fetchval(
                "SELECT coalesce(array_agg(symbol), '{}') FROM bars_1d WHERE start = $1",
                _time(span_ms(BarInterval.DAY, at_ms)[0]),
                timeout=WRITE_SECONDS,
            )
            return {
                interval: {
                    row["symbol"]: Bar(*row[1:])
                    for row in await database.fetch(
                        _OPEN.replace("{table}", table),
                        _time(span_ms(interval, at_ms)[0]),
                        symbols,
                        timeout=WRITE_SECONDS,
                    )
                }
                for interval, table in _TABLES.items()
            }

    async def write(
        self, epoch: int, progress: Progress, bars: Mapping[BarInterval, Mapping[BarKey, Bar]]
    ) -> None:
        """Store bars as they are after the trade of `progress`; all of it or nothing.

        Raises `Superseded`, or `DatabaseUnavailable`: then it may have happened, and the same bars
        can be written again.
        """
        await self._keep_partitions(start for some in bars.values() for _, start in some)
        async with self._connection(WRITE_SECONDS) as database, database.transaction():
            await database.execute(f"SET LOCAL statement_timeout = {int(WRITE_SECONDS * 1000)}")
            may_write = await database.fetchval(
                _ADVANCE,
                FEED,
                epoch,
                progress.session,
                progress.trade_seq,
                _time(progress.traded_at_ms),
            )
            if not may_write:
                raise Superseded(await _newest_epoch(database))
            for interval, some in bars.items():
                statement = _UPSERT.replace("{table}", _TABLES[interval])
                rows = iter(some.items())
                while part := list(islice(rows, STATEMENT_ROWS_MAX)):
                    await database.execute(statement, *_columns(part), timeout=WRITE_SECONDS)

    async def _keep_partitions(self, starts_ms: Iterable[int]) -> None:
        """Make the partitions these bars need, and drop old ones; seldom more than a look."""
        needed = frozenset(start_ms // PARTITION_MS for start_ms in starts_ms)
        if needed <= self._partitioned:
            return
        # First drop: bars older than their retention are stored too, until the next time.
        try:
            async with self._connection() as database:
                dropped = await database.fetch("SELECT drop_bar_partitions() AS name")
        except DatabaseUnavailable as error:
            # Somebody reads in them for long: the next time then.
            log.warning("bar_partitions_not_dropped", error=str(error))
            dropped = []
        async with self._connection() as database:
            made = await database.fetch(
                "SELECT make_bar_partitions($1) AS name",
                [_time(block * PARTITION_MS) for block in needed],
            )
        self._partitioned = needed
        if made or dropped:
            log.info(
                "bar_partitions",
                made=[row["name"] for row in made],
                dropped=[row["name"] for row in dropped],
            )

    @asynccontextmanager
    async def _connection(
        self, deadline_seconds: float | None = None
    ) -> AsyncIterator["Connection[asyncpg.Record]"]:
        try:
            async with connection(self._pool, deadline_seconds) as database:
                yield database
        except asyncpg.PostgresError as error:
            self._partitioned = frozenset()
            raise DatabaseUnavailable(repr(error)) from error


@asynccontextmanager
async def open_bar_store(settings: Settings, limits: Limits = USUAL) -> AsyncIterator[BarStore]:
    """A store with a pool of its own; waits for the server if it is not there.

    Raises `DatabaseUnavailable` if the server is there and says no.
    """
    try:
        async with open_pool(settings, limits) as pool:
            yield BarStore(pool)
    except asyncpg.PostgresError as error:
        raise DatabaseUnavailable(repr(error)) from error


async def _newest_epoch(database: "Connection[asyncpg.Record]") -> int:
    newest: int = await database.fetchval("SELECT epoch FROM bar_progress WHERE feed = $1", FEED)
    return newest


def _columns(rows: Sequence[tuple[BarKey, Bar]]) -> list[list[Any]]:
    times = {start_ms: _time(start_ms) for start_ms in {key[1] for key, _ in rows}}
    return [
        [key[0] for key, _ in rows],
        [times[key[1]] for key, _ in rows],
        [bar.open_cents for _, bar in rows],
        [bar.high_cents for _, bar in rows],
        [bar.low_cents for _, bar in rows],
        [bar.close_cents for _, bar in rows],
        [bar.volume for _, bar in rows],
        [bar.notional_cents for _, bar in rows],
        [bar.trades for _, bar in rows],
    ]


def _time(at_ms: int) -> datetime:
    # Exact, which a float of seconds is not for every millisecond.
    return _EPOCH + timedelta(milliseconds=at_ms)


def _ms(time: datetime) -> int:
    return (time - _EPOCH) // timedelta(milliseconds=1)
