"""What is at risk by the books: orders whose outcome is open, and what the firm bears."""

from dataclasses import dataclass

import asyncpg

from brokerage.domain.exposure import Exposure, Posted
from brokerage.storage.pool import Pool, connection


@dataclass(frozen=True, slots=True)
class BooksAtRisk:
    """Exposures of orders by cause, and the error account's holdings; all of one moment."""

    orders: list[Exposure]
    posted: list[Posted]


async def books_at_risk(pool: "Pool[asyncpg.Record]") -> BooksAtRisk:
    """All users' together. Raises `DatabaseUnavailable`.

    Of an order whose outcome is unknown, or whose cancel is not answered, all that may still be
    executed is at risk, at the price that was sent; of one that ended at the exchange, what was
    executed there and is not booked.
    """
    async with (
        connection(pool) as database,
        database.transaction(isolation="repeatable_read", readonly=True),
    ):
        orders = await database.fetch(
            # The condition is that of an index, word for word: what only an answer moves.
            """
            SELECT CASE
                    WHEN end_status IS NOT NULL THEN 'executions-missing'
                    WHEN status = 'pending_cancel' THEN 'waiting-for-cancel'
                    ELSE 'unknown-outcome'
                END AS cause,
                count(*)::bigint AS count,
                sum(price_cents * CASE
                    WHEN end_status IS NOT NULL THEN final_shares - executed_shares
                    ELSE greatest(0, shares - matched_shares)
                END)::bigint AS cents,
                min(updated_at) AS oldest_at
            FROM orders
            WHERE (status IN ('pending', 'pending_cancel')
                OR (time_in_force = 'ioc' AND status IN ('submitted', 'partially_filled')))
            GROUP BY 1 ORDER BY 1
            """
        )
        posted = await database.fetch(
            """
            SELECT coalesce(cause, 'not-recorded') AS cause, asset, sum(amount)::bigint AS amount,
                count(DISTINCT source)::bigint AS count, min(booked_at) AS oldest_at
            FROM ledger_entries WHERE account = 'error' GROUP BY 1, 2 ORDER BY 1, 2
            """
        )
    return BooksAtRisk([Exposure(**row) for row in orders], [Posted(**row) for row in posted])
