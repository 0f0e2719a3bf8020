"""What a start from a loss asks of our rows, of all users; such starts are rare."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Final

import asyncpg

from brokerage.domain.orders import Order
from brokerage.domain.states import OPEN
from brokerage.storage.pool import APPLICATION, Pool, connection, long_read
from brokerage.storage.rows import ORDER_COLUMNS, order_from

WALK_SECONDS: Final = 600
"""For what no index answers: it may walk through every order."""
USERS_PAGE: Final = 10_000


async def unfinished_orders(
    pool: "Pool[asyncpg.Record]", *, after: Order | None = None, limit: int
) -> list[Order]:
    """At most `limit` orders that something can still happen to: open, or ended with executions
    missing. By user and id; `after` is the last one seen. Raises `DatabaseUnavailable`.
    """
    async with long_read(pool, WALK_SECONDS) as database:
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
            timeout=WALK_SECONDS,
        )
    return [order_from(row) for row in rows]


async def newest_order_at(pool: "Pool[asyncpg.Record]") -> datetime | None:
    """When the newest order was placed; None without any."""
    async with long_read(pool, WALK_SECONDS) as database:
        at: datetime | None = await database.fetchval(
            "SELECT max(created_at) FROM orders", timeout=WALK_SECONDS
        )
    return at


async def orders_by_id(pool: "Pool[asyncpg.Record]", order_ids: Sequence[str]) -> dict[str, Order]:
    """Those of these orders that have a row, whoever's they are."""
    columns = ", ".join(f"o.{column}" for column in ORDER_COLUMNS.split(", "))
    async with connection(pool) as database:
        rows = await database.fetch(
            f"SELECT {columns} FROM order_routes r "  # noqa: S608 - columns are a constant
            "JOIN orders o ON o.user_id = r.user_id AND o.order_id = r.order_id "
            "WHERE r.order_id = ANY ($1::uuid[])",
            order_ids,
        )
    return {str(row["order_id"]): order_from(row) for row in rows}


async def user_ids(pool: "Pool[asyncpg.Record]") -> AsyncIterator[str]:
    """Every user with an account."""
    last = ""
    while True:
        async with connection(pool) as database:
            rows = await database.fetch(
                "SELECT user_id FROM accounts WHERE user_id > $1 ORDER BY user_id LIMIT $2",
                last,
                USERS_PAGE,
            )
        for row in rows:
            yield row["user_id"]
        if len(rows) < USERS_PAGE:
            return
        last = rows[-1]["user_id"]


async def other_sessions(pool: "Pool[asyncpg.Record]") -> int:
    """How many connections our processes have to this database, beside those of this pool."""
    async with connection(pool) as database:
        sessions: int = await database.fetchval(
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE datname = current_database() AND application_name = $1",
            APPLICATION,
        )
    return sessions - pool.get_size()
