"""What the firm bears: the postings to the error account, for operators."""

from dataclasses import dataclass
from datetime import datetime

import asyncpg

from brokerage.storage.pool import Pool, connection


@dataclass(frozen=True, slots=True)
class BorneItem:
    """What one report brought to the error account for one cause: cents and shares of a symbol.

    `report_id` is the execution's own id, or that of the bust or correction of it. `cause` is
    `not-recorded` for what was posted before causes were.
    """

    booked_at: datetime
    report_id: str
    cause: str
    execution_id: str
    order_id: str
    user_id: str
    cents: int
    symbol: str
    shares: int


@dataclass(frozen=True, slots=True)
class BorneTotal:
    """What the error account has for one cause of one asset: cents of `USD`, else shares."""

    cause: str
    asset: str
    amount: int


@dataclass(frozen=True, slots=True)
class ErrorAccount:
    """A page of items, newest first, and the totals of the whole account; all of one moment."""

    items: list[BorneItem]
    totals: list[BorneTotal]


async def error_account(
    pool: "Pool[asyncpg.Record]",
    *,
    limit: int,
    before: tuple[datetime, str, str] | None = None,
) -> ErrorAccount:
    """At most `limit` items older than `before` (time, report and cause of the last one seen)."""
    async with (
        connection(pool) as database,
        database.transaction(isolation="repeatable_read", readonly=True),
    ):
        items = await database.fetch(
            """
            WITH page AS (
                SELECT booked_at, source, coalesce(cause, 'not-recorded') AS cause, user_id,
                    order_id,
                    coalesce(sum(amount) FILTER (WHERE asset = 'USD'), 0)::bigint AS cents,
                    coalesce(sum(amount) FILTER (WHERE asset <> 'USD'), 0)::bigint AS shares
                FROM ledger_entries
                WHERE account = 'error' AND ($1::timestamptz IS NULL
                    OR (booked_at, source, coalesce(cause, 'not-recorded')) < ($1, $2, $3))
                GROUP BY 1, 2, 3, 4, 5
                ORDER BY 1 DESC, 2 DESC, 3 DESC LIMIT $4
            )
            SELECT p.booked_at, p.source AS report_id, p.cause,
                coalesce(r.amends, p.source) AS execution_id, p.order_id::text AS order_id,
                p.user_id, p.cents, r.symbol, p.shares
            FROM page p JOIN execution_reports r ON r.report_id = p.source
            ORDER BY p.booked_at DESC, p.source DESC, p.cause DESC
            """,
            *(before or (None, None, None)),
            limit,
        )
        totals = await database.fetch(
            "SELECT coalesce(cause, 'not-recorded') AS cause, asset, sum(amount)::bigint AS amount "
            "FROM ledger_entries WHERE account = 'error' GROUP BY 1, 2 ORDER BY 1, 2"
        )
    return ErrorAccount([BorneItem(**row) for row in items], [BorneTotal(**row) for row in totals])
