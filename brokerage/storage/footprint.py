"""What Postgres has written and keeps, for those who reckon what an order costs."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from brokerage.runtime.settings import Settings
from brokerage.storage.pool import Pool, open_pool

STATISTICS = """
SELECT pg_database_size(current_database())::bigint AS kept_bytes,
       pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint AS log_bytes,
       (tup_inserted + tup_updated + tup_deleted)::bigint AS rows, xact_commit::bigint AS commits
FROM pg_stat_database WHERE datname = current_database()
"""


@dataclass(frozen=True, slots=True)
class Footprint:
    """Since the database was made: `kept_bytes` of tables and indexes, `log_bytes` of the log that
    was written ahead of them, rows inserted, updated and deleted, transactions.
    """

    kept_bytes: int
    log_bytes: int
    rows: int
    commits: int


@asynccontextmanager
async def open_footprint(database_url: str) -> AsyncIterator[Callable[[], Awaitable[Footprint]]]:
    """Yield a function that reads it. Counts of rows and transactions are a second late."""
    async with open_pool(Settings(database_url=database_url, database_pool_size=2)) as pool:
        yield lambda: _read(pool)


async def _read(pool: "Pool[Any]") -> Footprint:
    async with pool.acquire() as database:
        row = await database.fetchrow(STATISTICS)
    assert row is not None
    return Footprint(**row)
