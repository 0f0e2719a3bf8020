"""Reports of reconciliation, as operators read them."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

import asyncpg

from brokerage.storage.pool import Pool, connection

_RUNS: Final = """
    SELECT r.run_id, r.day, r.started_at, r.started_by, r.reason, v.finished_at, v.verdict,
        v.sequence, v.orders, v.reports, v.healed, v.waiting
    FROM reconciliations r LEFT JOIN reconciliation_verdicts v USING (run_id)
"""


@dataclass(frozen=True, slots=True)
class ReconciliationRun:
    """One run; what comes after `reason` is None until it has ended."""

    run_id: str
    day: date
    started_at: datetime
    started_by: str
    reason: str
    finished_at: datetime | None
    verdict: str | None
    sequence: int | None
    orders: int | None
    reports: int | None
    healed: int | None
    waiting: int | None


@dataclass(frozen=True, slots=True)
class ReconciledDifference:
    """A difference that a run found; `key` says what of the subject it is."""

    kind: str
    subject: str
    key: str
    user_id: str | None
    ours: str | None
    theirs: str | None
    state: str
    note: str
    found_at: datetime


async def runs_page(
    pool: "Pool[asyncpg.Record]",
    *,
    limit: int,
    before: tuple[datetime, str] | None = None,
) -> list[ReconciliationRun]:
    """At most `limit` runs, the newest first, older than `before` (of the last one seen)."""
    async with connection(pool) as database:
        rows = await database.fetch(
            f"{_RUNS} WHERE $1::timestamptz IS NULL OR (r.started_at, r.run_id) < ($1, $2) "
            "ORDER BY r.started_at DESC, r.run_id DESC LIMIT $3",
            *(before or (None, None)),
            limit,
        )
    return [ReconciliationRun(**row) for row in rows]


async def run_by_id(pool: "Pool[asyncpg.Record]", run_id: str) -> ReconciliationRun | None:
    """The run of that id."""
    async with connection(pool) as database:
        row = await database.fetchrow(f"{_RUNS} WHERE r.run_id = $1", run_id)
    return ReconciliationRun(**row) if row else None


async def newest_run(
    pool: "Pool[asyncpg.Record]", day: date | None = None
) -> ReconciliationRun | None:
    """The newest run that has ended, of a day or of all."""
    async with connection(pool) as database:
        row = await database.fetchrow(
            f"{_RUNS} WHERE v.run_id IS NOT NULL AND ($1::date IS NULL OR r.day = $1) "
            "ORDER BY r.started_at DESC, r.run_id DESC LIMIT 1",
            day,
        )
    return ReconciliationRun(**row) if row else None


async def differences_page(
    pool: "Pool[asyncpg.Record]",
    run_id: str,
    *,
    limit: int,
    after: tuple[str, str, str] = ("", "", ""),
) -> list[ReconciledDifference]:
    """At most `limit` differences of a run by kind, subject and key, after the last one seen."""
    async with connection(pool) as database:
        rows = await database.fetch(
            "SELECT kind, subject, key, user_id, ours, theirs, state, note, found_at "
            "FROM reconciliation_differences "
            "WHERE run_id = $1 AND (kind, subject, key) > ($2, $3, $4) "
            "ORDER BY kind, subject, key LIMIT $5",
            run_id,
            *after,
            limit,
        )
    return [ReconciledDifference(**row) for row in rows]


async def last_agreement(pool: "Pool[asyncpg.Record]") -> datetime | None:
    """When a run last left nothing for a person."""
    async with connection(pool) as database:
        at: datetime | None = await database.fetchval(
            "SELECT max(finished_at) FROM reconciliation_verdicts WHERE verdict <> 'needs-a-person'"
        )
    return at
