"""The orders that something can still happen to, of all users: those that need a workflow."""

from typing import Final

import asyncpg

from brokerage.domain.orders import Order
from brokerage.domain.states import OPEN
from brokerage.storage.pool import Pool, connection
from brokerage.storage.rows import ORDER_COLUMNS, order_from

PAGE_SECONDS: Final = 60
"""For one page: no index holds these orders alone, so it may walk through many others."""


async def unfinished_orders(
    pool: "Pool[asyncpg.Record]", *, after: Order | None = None, limit: int
) -> list[Order]:
    """At most `limit` orders that are open, or ended with executions missing, by user and id;
    `after` is the last one seen. For starts from a loss, which are rare. Raises
    `DatabaseUnavailable`.
    """
    async with (
        connection(pool, PAGE_SECONDS) as database,
        database.transaction(readonly=True),
    ):
        await database.execute(f"SET LOCAL statement_timeout = '{PAGE_SECONDS}s'")
        rows = await database.fetch(
            f"""
            SELECT {ORDER_COLUMNS} FROM orders
            WHERE (status = ANY ($1) OR executed_shares < final_shares)
              AND ($2::text IS NULL OR (user_id, order_id) > ($2, $3::uuid))
            ORDER BY user_id, order_id LIMIT $4
            """,  # noqa: S608 - columns are a constant
            sorted(OPEN),
            after.user_id if after else None,
            after.order_id if after else None,
            limit,
            timeout=PAGE_SECONDS,
        )
    return [order_from(row) for row in rows]
