"""The orders that only the exchange's answer can move, of all users."""

from datetime import datetime

import asyncpg

from brokerage.domain.orders import Order
from brokerage.storage.pool import Pool, connection
from brokerage.storage.rows import ORDER_COLUMNS, order_from


async def unanswered_orders(
    pool: "Pool[asyncpg.Record]",
    *,
    before: datetime,
    after: Order | None = None,
    limit: int,
) -> list[Order]:
    """At most `limit` of those whose placement or cancel is not answered and that last changed
    before this time, the longest ago first; `after` is the last one seen.
    """
    async with connection(pool) as database:
        rows = await database.fetch(
            # The condition is that of the index, word for word.
            f"""
            SELECT {ORDER_COLUMNS} FROM orders
            WHERE (status IN ('pending', 'pending_cancel')
                OR (time_in_force = 'ioc' AND status IN ('submitted', 'partially_filled')))
              AND updated_at < $1
              AND ($2::timestamptz IS NULL OR (updated_at, order_id) > ($2, $3::uuid))
            ORDER BY updated_at, order_id LIMIT $4
            """,  # noqa: S608 - columns are a constant
            before,
            after.updated_at if after else None,
            after.order_id if after else None,
            limit,
        )
    return [order_from(row) for row in rows]
