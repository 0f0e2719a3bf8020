"""An account as an order would find it, and what its open orders hold of it. Takes no lock."""

from dataclasses import dataclass
from datetime import datetime

import asyncpg

from brokerage.domain.booking import Books
from brokerage.domain.orders import Side
from brokerage.domain.risk import Standing
from brokerage.storage.pool import Pool, connection
from brokerage.storage.rows import books_from, standing_from


@dataclass(frozen=True, slots=True)
class Means:
    """What a new order of one symbol and side would be decided with, all of one moment."""

    books: Books
    standing: Standing
    as_of_seq: int


@dataclass(frozen=True, slots=True)
class Hold:
    """What one order holds: `amount` cents for a buy, shares for a sell. `price_cents` is the price
    sent; `ended` when the exchange has no more of the order and only its executions are missing.
    """

    order_id: str
    side: Side
    symbol: str
    status: str
    shares: int
    price_cents: int
    amount: int
    since: datetime
    ended: bool


@dataclass(frozen=True, slots=True)
class HoldsPage:
    """Holds, newest first, and all that is held, of the same moment."""

    holds: list[Hold]
    held_cents: int
    held_shares: dict[str, int]
    as_of_seq: int


async def means(
    pool: "Pool[asyncpg.Record]", user_id: str, symbol: str, side: Side
) -> Means | None:
    """What an order of `symbol` would find; None without an account."""
    async with connection(pool) as database:
        # One statement, so that all of it is of one moment.
        row = await database.fetchrow(
            """
            SELECT a.cash_cents, a.held_cents, coalesce(p.shares, 0) AS position_shares,
                coalesce(p.held_shares, 0) AS held_shares, 0 AS hold_shares,
                a.state, standing_of($1, $2, $3) AS standing, a.event_seq
            FROM accounts a LEFT JOIN positions p ON p.user_id = a.user_id AND p.symbol = $2
            WHERE a.user_id = $1
            """,
            user_id,
            symbol,
            side,
        )
    if row is None:
        return None
    return Means(books_from(row), standing_from(row, side), row["event_seq"])


async def holds_page(
    pool: "Pool[asyncpg.Record]",
    user_id: str,
    *,
    limit: int,
    before: tuple[datetime, str] | None = None,
) -> HoldsPage | None:
    """At most `limit` holds of orders older than `before` (creation time and id of the last one
    seen); None without an account.
    """
    created_at, order_id = before if before else (None, None)
    async with (
        connection(pool) as database,
        database.transaction(isolation="repeatable_read", readonly=True),
    ):
        account = await database.fetchrow(
            "SELECT held_cents, event_seq FROM accounts WHERE user_id = $1", user_id
        )
        if account is None:
            return None
        positions = await database.fetch(
            "SELECT symbol, held_shares FROM positions "
            "WHERE user_id = $1 AND held_shares > 0 ORDER BY symbol",
            user_id,
        )
        rows = await database.fetch(
            """
            SELECT h.order_id, o.side, h.symbol, o.status, h.shares, h.price_cents, h.amount,
                o.created_at, o.end_status IS NOT NULL AS ended
            FROM holds h JOIN orders o ON o.user_id = h.user_id AND o.order_id = h.order_id
            WHERE h.user_id = $1
              AND ($2::timestamptz IS NULL OR (o.created_at, o.order_id) < ($2, $3::uuid))
            ORDER BY o.created_at DESC, o.order_id DESC
            LIMIT $4
            """,
            user_id,
            created_at,
            order_id,
            limit,
        )
    return HoldsPage(
        [
            Hold(
                order_id=str(row["order_id"]),
                side=Side(row["side"]),
                symbol=row["symbol"],
                status=row["status"],
                shares=row["shares"],
                price_cents=row["price_cents"],
                amount=row["amount"],
                since=row["created_at"],
                ended=row["ended"],
            )
            for row in rows
        ],
        account["held_cents"],
        {row["symbol"]: row["held_shares"] for row in positions},
        account["event_seq"],
    )
