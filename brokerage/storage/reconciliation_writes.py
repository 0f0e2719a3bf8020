"""The record of a reconciliation: that it began, what it found, how it ended. It only grows."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

import asyncpg
import structlog
from prometheus_client import Counter

from brokerage.contracts.reconciliation import Begin, Conclusion, Found
from brokerage.storage.pool import Connection, Pool, connection

log = structlog.get_logger()

NEW_YORK: Final = ZoneInfo("America/New_York")
DIFFERENCES: Final = Counter(
    "sherwood_reconciliation_differences",
    "Differences with the exchange that were seen twice.",
    ("kind", "state"),
)


class ReconciliationWriter:
    """Writes the record; every method may be repeated, and changes nothing then."""

    def __init__(self, pool: "Pool[asyncpg.Record]") -> None:
        self._pool = pool

    async def begin(self, begin: Begin) -> None:
        """Note that a run began."""
        now = datetime.now(UTC)
        async with connection(self._pool) as database:
            await database.execute(
                "INSERT INTO reconciliations (run_id, day, started_at, started_by, reason) "
                "VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
                begin.run_id,
                now.astimezone(NEW_YORK).date(),
                now,
                begin.started_by,
                begin.reason,
            )

    async def note(self, run_id: str, found: Sequence[Found]) -> None:
        """Keep differences, log and count them."""
        async with connection(self._pool) as database, database.transaction():
            fresh = [one for one in found if await _insert(database, run_id, one)]
        for one in fresh:
            difference = one.difference
            DIFFERENCES.labels(difference.kind, one.state).inc()
            log.error(
                "reconciliation_difference",
                run_id=run_id,
                kind=difference.kind.value,
                subject=difference.subject,
                key=difference.key,
                ours=difference.ours,
                theirs=difference.theirs,
                state=one.state,
                note=one.note,
            )

    async def conclude(self, end: Conclusion) -> None:
        """Keep the verdict."""
        counts = end.counts
        async with connection(self._pool) as database:
            await database.execute(
                "INSERT INTO reconciliation_verdicts (run_id, finished_at, verdict, sequence, "
                "orders, reports, healed, waiting) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) "
                "ON CONFLICT DO NOTHING",
                end.run_id,
                datetime.now(UTC),
                end.verdict,
                end.sequence,
                counts.orders,
                counts.reports,
                counts.healed,
                counts.waiting,
            )
        log.info(
            "reconciliation_done",
            run_id=end.run_id,
            verdict=end.verdict,
            sequence=end.sequence,
            orders=counts.orders,
            reports=counts.reports,
            healed=counts.healed,
            waiting=counts.waiting,
        )


async def _insert(database: "Connection[asyncpg.Record]", run_id: str, found: Found) -> bool:
    one = found.difference
    inserted = await database.fetchval(
        "INSERT INTO reconciliation_differences (run_id, kind, subject, key, user_id, ours, "
        "theirs, state, note) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) "
        "ON CONFLICT DO NOTHING RETURNING true",
        run_id,
        one.kind.value,
        one.subject,
        one.key,
        one.user_id,
        one.ours,
        one.theirs,
        found.state,
        found.note,
    )
    return bool(inserted)
