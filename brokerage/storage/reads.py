"""What is read outside the transactions that write. Always from the primary: an order that was
answered must be seen by the next request.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import asyncpg

from brokerage.domain.orders import Order
from brokerage.domain.risk import AccountState
from brokerage.domain.states import OPEN, OrderStatus
from brokerage.domain.valuation import Flow
from brokerage.storage.pool import Pool, connection, long_read
from brokerage.storage.rows import ORDER_COLUMNS, order_from

MICROSECOND: Final = timedelta(microseconds=1)
SETTLED_SEQ_SECONDS = 60
"""Asked only where the stream of executions was lost; it may walk through all that was booked."""


@dataclass(frozen=True, slots=True)
class Route:
    """Whose an order is."""

    order_id: str
    user_id: str


@dataclass(frozen=True, slots=True)
class Position:
    """A user's shares of one symbol, those held for open sells included."""

    symbol: str
    shares: int
    held_shares: int


@dataclass(frozen=True, slots=True)
class Portfolio:
    """A user's balances of one moment; `as_of_seq` is the last order event they include. What the
    account may do is known of the present only.
    """

    cash_cents: int
    held_cents: int
    positions: list[Position]
    as_of_seq: int
    state: AccountState | None = None


@dataclass(frozen=True, slots=True)
class AccountAge:
    """Since when an account is open, and how many symbols it ever held."""

    opened_at: datetime
    symbols: int


@dataclass(frozen=True, slots=True)
class OrdersPage:
    """Orders, newest first, and the last order event they include."""

    orders: list[Order]
    as_of_seq: int


async def order_of_user(pool: "Pool[asyncpg.Record]", user_id: str, order_id: str) -> Order | None:
    """The user's order, or None: another user's order looks exactly like none."""
    async with connection(pool) as database:
        row = await database.fetchrow(
            f"SELECT {ORDER_COLUMNS} FROM orders WHERE user_id = $1 AND order_id = $2",  # noqa: S608 - columns are a constant
            user_id,
            order_id,
        )
    return order_from(row) if row else None


async def orders_of_user(
    pool: "Pool[asyncpg.Record]", user_id: str, order_ids: Sequence[str]
) -> list[Order]:
    """Those of these orders that are the user's."""
    async with connection(pool) as database:
        rows = await database.fetch(
            f"SELECT {ORDER_COLUMNS} FROM orders "  # noqa: S608 - columns are a constant
            "WHERE user_id = $1 AND order_id = ANY ($2::uuid[])",
            user_id,
            order_ids,
        )
    return [order_from(row) for row in rows]


async def open_orders(
    pool: "Pool[asyncpg.Record]", user_id: str, symbol: str | None, *, limit: int
) -> list[Order]:
    """At most `limit` open orders; those without a cancel on record first, and of these those that
    changed longest ago.
    """
    async with connection(pool) as database:
        rows = await database.fetch(
            f"""
            SELECT {ORDER_COLUMNS} FROM orders
            WHERE user_id = $1 AND status = ANY ($2) AND ($3::text IS NULL OR symbol = $3)
            ORDER BY status = $4, updated_at, order_id LIMIT $5
            """,  # noqa: S608 - columns are a constant
            user_id,
            sorted(OPEN),
            symbol,
            OrderStatus.PENDING_CANCEL,
            limit,
        )
    return [order_from(row) for row in rows]


async def orders_page(
    pool: "Pool[asyncpg.Record]",
    user_id: str,
    *,
    limit: int,
    before: tuple[datetime, str] | None = None,
    statuses: Sequence[str] | None = None,
    symbol: str | None = None,
    order_id: str | None = None,
) -> OrdersPage:
    """At most `limit` orders older than `before` (creation time and id of the last one seen)."""
    last_created_at, last_order_id = before if before else (None, None)
    async with (
        connection(pool) as database,
        database.transaction(isolation="repeatable_read", readonly=True),
    ):
        seq = await database.fetchval("SELECT event_seq FROM accounts WHERE user_id = $1", user_id)
        rows = await database.fetch(
            f"""
            SELECT {ORDER_COLUMNS} FROM orders
            WHERE user_id = $1
              AND ($2::timestamptz IS NULL OR (created_at, order_id) < ($2, $3::uuid))
              AND ($4::text[] IS NULL OR status = ANY ($4))
              AND ($5::text IS NULL OR symbol = $5)
              AND ($6::uuid IS NULL OR order_id = $6)
            ORDER BY created_at DESC, order_id DESC
            LIMIT $7
            """,  # noqa: S608 - columns are a constant
            user_id,
            last_created_at,
            last_order_id,
            statuses,
            symbol,
            order_id,
            limit,
        )
    return OrdersPage([order_from(row) for row in rows], seq or 0)


async def portfolio(pool: "Pool[asyncpg.Record]", user_id: str) -> Portfolio | None:
    """The user's cash and positions in one snapshot, or None without an account."""
    async with (
        connection(pool) as database,
        database.transaction(isolation="repeatable_read", readonly=True),
    ):
        account = await database.fetchrow(
            "SELECT cash_cents, held_cents, event_seq, state FROM accounts WHERE user_id = $1",
            user_id,
        )
        if account is None:
            return None
        rows = await database.fetch(
            "SELECT symbol, shares, held_shares FROM positions "
            "WHERE user_id = $1 AND shares <> 0 ORDER BY symbol",
            user_id,
        )
    return Portfolio(
        account["cash_cents"],
        account["held_cents"],
        [Position(row["symbol"], row["shares"], row["held_shares"]) for row in rows],
        account["event_seq"],
        AccountState(account["state"]),
    )


async def account_age(pool: "Pool[asyncpg.Record]", user_id: str) -> AccountAge | None:
    """When the account was opened and how much it touched; None without an account."""
    async with connection(pool) as database:
        row = await database.fetchrow(
            "SELECT opened_at, (SELECT count(*) FROM positions WHERE user_id = $1) AS symbols "
            "FROM accounts WHERE user_id = $1",
            user_id,
        )
    return AccountAge(row["opened_at"], row["symbols"]) if row else None


async def ledger_flows(
    pool: "Pool[asyncpg.Record]", user_id: str, points: Sequence[datetime]
) -> list[Flow]:
    """All entries of the user's own account, added up by asset and the first point that has them.

    Whatever booked them: openings, fills, busts, adjustments. What came after the last point counts
    as its own. Entries that name no order are what was put in, or taken out.
    """
    async with connection(pool) as database:
        rows = await database.fetch(
            """
            SELECT asset, least(width_bucket(booked_at, $2::timestamptz[]), $3) AS step,
                sum(amount)::bigint,
                coalesce(sum(amount) FILTER (WHERE order_id IS NULL), 0)::bigint,
                coalesce(sum(amount) FILTER (WHERE cost_cents IS NOT NULL), 0)::bigint,
                coalesce(sum(cost_cents), 0)::bigint,
                bool_or(order_id IS NULL AND cost_cents IS NULL AND asset <> 'USD')
            FROM ledger_entries WHERE user_id = $1 AND account = 'user'
            GROUP BY 1, 2
            """,
            user_id,
            # Thresholds are passed when they are reached; an entry at a point belongs to it.
            [point + MICROSECOND for point in points],
            len(points) - 1,
        )
    return [Flow(*row) for row in rows]


async def has_account(pool: "Pool[asyncpg.Record]", user_id: str) -> bool:
    """True once the user's account is open."""
    async with connection(pool) as database:
        found = await database.fetchval("SELECT true FROM accounts WHERE user_id = $1", user_id)
    return bool(found)


async def route_of_external(pool: "Pool[asyncpg.Record]", external_order_id: str) -> Route | None:
    """Whose order the exchange means by its id, once an acknowledgement has told us."""
    async with connection(pool) as database:
        row = await database.fetchrow(
            "SELECT order_id, user_id FROM external_orders WHERE external_order_id = $1",
            external_order_id,
        )
    return Route(str(row["order_id"]), row["user_id"]) if row else None


async def route_of_order(pool: "Pool[asyncpg.Record]", order_id: str) -> Route | None:
    """Whose order this is, from the moment it was reserved."""
    async with connection(pool) as database:
        row = await database.fetchrow(
            "SELECT order_id, user_id FROM order_routes WHERE order_id = $1", order_id
        )
    return Route(str(row["order_id"]), row["user_id"]) if row else None


async def settled_feed_seq(pool: "Pool[asyncpg.Record]") -> int:
    """The member sequence up to which everything the exchange reported is booked; 0 if nothing."""
    async with long_read(pool, SETTLED_SEQ_SECONDS) as database:
        seq = await database.fetchval(
            """
            SELECT r.feed_seq FROM execution_reports r
            WHERE EXISTS (SELECT FROM execution_reports WHERE feed_seq = 1)
              AND NOT EXISTS (SELECT FROM execution_reports n WHERE n.feed_seq = r.feed_seq + 1)
            ORDER BY r.feed_seq LIMIT 1
            """,
            timeout=SETTLED_SEQ_SECONDS,
        )
    return seq or 0
