"""Postgres as `sherwood doctor` sees it: there, of our schema, with our time."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import asyncpg

from brokerage.contracts.findings import Finding, well, wrong

TIMEOUT_SECONDS: Final = 5.0
SKEW_SECONDS_MAX: Final = 1.0
"""`send_by` is ten seconds after a claim, by the clock of Postgres, and held against others'."""
VERSIONS: Final = Path(__file__).parent / "migrations" / "versions"
MIGRATE: Final = "run `python -m brokerage.storage.migrate`, then start the processes again"


def newest_revision() -> str:
    """The schema that this code is written for."""
    return max(path.stem.partition("_")[0] for path in VERSIONS.glob("[0-9]*.py"))


async def examine_postgres(database_url: str) -> list[Finding]:
    """Look at Postgres through a connection of its own."""
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            connection = await asyncpg.connect(database_url, timeout=TIMEOUT_SECONDS)
            try:
                return await _examine(connection)
            finally:
                await connection.close(timeout=1)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        mend = "start Postgres, or correct SHERWOOD_DATABASE_URL; orders go on by themselves then"
        return [wrong("postgres-reachable", f"no answer: {error!r}", mend)]


async def _examine(connection: "asyncpg.Connection[asyncpg.Record]") -> list[Finding]:
    version = await connection.fetchval("SHOW server_version")
    before = datetime.now(UTC)
    there: datetime = await connection.fetchval("SELECT clock_timestamp()")
    after = datetime.now(UTC)
    try:
        revision = await connection.fetchval("SELECT version_num FROM alembic_version")
    except asyncpg.UndefinedTableError:
        revision = None
    return [
        well("postgres-reachable", f"Postgres {version}"),
        _schema(revision),
        # The answer took some time, and nobody knows when in it Postgres looked at its clock.
        _clock(
            (there - before - (after - before) / 2).total_seconds(),
            (after - before).total_seconds() / 2,
        ),
    ]


def _schema(revision: str | None) -> Finding:
    newest = newest_revision()
    if revision == newest:
        return well("postgres-schema", f"revision {newest}")
    if revision is not None and revision > newest:
        found = f"revision {revision}, newer than this code's {newest}"
        return wrong("postgres-schema", found, "start a release that is at least as new")
    return wrong("postgres-schema", f"revision {revision or 'none'}, not {newest}", MIGRATE)


def _clock(ahead_seconds: float, doubt_seconds: float) -> Finding:
    found = f"{ahead_seconds:+.3f} s from the API node's"
    if abs(ahead_seconds) <= SKEW_SECONDS_MAX + doubt_seconds:
        return well("postgres-clock", found)
    mend = "have NTP set the clocks of both machines: orders would be refused as sent too late"
    return wrong("postgres-clock", found, mend)
