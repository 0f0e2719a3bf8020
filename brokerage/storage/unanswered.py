"""The orders that only the exchange's answer can move, of all users."""

from dataclasses import dataclass
from datetime import datetime

import asyncpg

from brokerage.storage.pool import Pool, connection


@dataclass(frozen=True, slots=True)
class UnansweredOrder:
    """An order whose placement or cancel is not answered; `updated_at` is its last change."""

    order_id: str
    user_id: str
    updated_at: datetime


async def unanswered_orders(
    pool: "Pool[asyncpg.Record]",
    *,
    before: datetime,
    after: UnansweredOrder | None = None,
    limit: int,
) -> list[UnansweredOrder]:
    """At most `limit` of those that last changed before this time, the longest ago first; `after`
    is the last one seen.
    """
    async with connection(pool) as database:
        rows = await database.fetch(
            # The condition is that of the index, word for word.
            """
            SELECT order_id, user_id, updated_at FROM orders
            WHERE (status IN ('pending', 'pending_cancel')
                OR (time_in_force = 'ioc' AND status IN ('submitted', 'partially_filled')))
              AND updated_at < $1
              AND ($2::timestamptz IS NULL OR (updated_at, order_id) > ($2, $3::uuid))
            ORDER BY updated_at, order_id LIMIT $4
            """,
            before,
            after.updated_at if after else None,
            after.order_id if after else None,
            limit,
        )
    return [UnansweredOrder(str(row[0]), row[1], row[2]) for row in rows]
