"""A user's executions, as they stand, newest first."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import asyncpg

from brokerage.domain.orders import Side
from brokerage.storage.pool import Pool, connection

_PAGE: Final = """
    SELECT e.execution_id, e.order_id, o.side, e.symbol, o.price_cents AS sent_price_cents,
        e.kind, e.booked_shares, e.booked_cents, e.price_cents,
        e.first_booked_shares, e.first_booked_cents, e.first_price_cents,
        e.reported_at, e.settled_at, e.amended_at
    FROM executions e JOIN orders o ON o.user_id = e.user_id AND o.order_id = e.order_id
    WHERE e.user_id = $1 AND e.first_booked_shares > 0
      AND ($2::timestamptz IS NULL OR (e.reported_at, e.execution_id) < ($2, $3))
"""
_NEWEST_FIRST: Final = " ORDER BY e.reported_at DESC, e.execution_id DESC LIMIT $4"


@dataclass(frozen=True, slots=True)
class Execution:
    """One execution that was the user's, or a part of which was.

    `kind` is `fill`, or what was last made of it: `bust`, `correction`. `booked_shares` are the
    user's, for `booked_cents` in all; `price_cents` is the exchange's, 0 after a bust. What begins
    with `first` is how it was booked at first. `sent_price_cents` is the order's limit or collar.
    """

    execution_id: str
    order_id: str
    side: Side
    symbol: str
    sent_price_cents: int
    kind: str
    booked_shares: int
    booked_cents: int
    price_cents: int
    first_booked_shares: int
    first_booked_cents: int
    first_price_cents: int
    reported_at: datetime
    settled_at: datetime
    amended_at: datetime | None


@dataclass(frozen=True, slots=True)
class ExecutionsPage:
    """Executions, newest at the exchange first, and the last order event they include."""

    executions: list[Execution]
    as_of_seq: int


async def executions_page(
    pool: "Pool[asyncpg.Record]",
    user_id: str,
    *,
    limit: int,
    before: tuple[datetime, str] | None = None,
    symbol: str | None = None,
    order_id: str | None = None,
) -> ExecutionsPage:
    """At most `limit` executions older than `before` (time and id of the last one seen)."""
    reported_at, execution_id = before if before else (None, None)
    query, wanted = _PAGE, [user_id, reported_at, execution_id, limit]
    # Written out only where they are asked for, so that each question finds its own index.
    for column, value in (("symbol = $", symbol), ("order_id = $", order_id)):
        if value is not None:
            wanted.append(value)
            query += f" AND e.{column}{len(wanted)}"
    async with (
        connection(pool) as database,
        database.transaction(isolation="repeatable_read", readonly=True),
    ):
        seq = await database.fetchval("SELECT event_seq FROM accounts WHERE user_id = $1", user_id)
        rows = await database.fetch(query + _NEWEST_FIRST, *wanted)
    return ExecutionsPage([_execution(row) for row in rows], seq or 0)


def _execution(row: asyncpg.Record) -> Execution:
    values = dict(row) | {"order_id": str(row["order_id"]), "side": Side(row["side"])}
    return Execution(**values)


async def is_reported(pool: "Pool[asyncpg.Record]", report_id: str) -> bool:
    """True once this report of the exchange is booked, whoever's it is."""
    async with connection(pool) as database:
        found: bool = await database.fetchval(
            "SELECT EXISTS (SELECT FROM execution_reports WHERE report_id = $1)", report_id
        )
    return found
