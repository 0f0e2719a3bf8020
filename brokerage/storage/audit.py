"""What an auditor reads: everything we booked, in one snapshot, and where it contradicts itself.

Read only, for checks and operators. It says what the tables hold, not what they should hold: the
comparison with the exchange is the caller's. Every query looks at whole tables.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import asyncpg

from brokerage.runtime.settings import Settings
from brokerage.storage.pool import Connection, Pool, long_read, open_pool

AUDIT_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class AuditedOrder:
    """An order's row, and what the error account bears of it, as the order trades.

    `external_order_id` is None where the exchange never acknowledged it.
    """

    order_id: str
    user_id: str
    symbol: str
    side: str
    shares: int
    price_cents: int
    status: str
    filled_shares: int
    filled_notional_cents: int
    executed_shares: int
    external_order_id: str | None = None
    reason: str | None = None
    borne_shares: int = 0
    borne_cents: int = 0


@dataclass(frozen=True, slots=True)
class AuditedExecution:
    """One booked execution as it stands; of its `shares`, `booked_shares` are the customer's.

    A busted one has no shares; what of it the customer could not give back is still booked.
    `amended`: by a bust or a correction.
    """

    execution_id: str
    order_id: str
    symbol: str
    shares: int
    booked_shares: int
    price_cents: int
    amended: bool = False


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Two numbers that must be equal and are not; `what` names them, `where` whose they are."""

    what: str
    where: str
    expected: int
    found: int


@dataclass(frozen=True, slots=True)
class Audit:
    """One moment of the books.

    `ledger` sums entries by (account, asset), in cents for asset USD and in shares otherwise;
    `contradictions` are those that the tables show by themselves.
    """

    orders: tuple[AuditedOrder, ...]
    executions: tuple[AuditedExecution, ...]
    ledger: dict[tuple[str, str], int]
    contradictions: tuple[Contradiction, ...]


@asynccontextmanager
async def open_auditor(database_url: str) -> AsyncIterator[Callable[[], Awaitable[Audit]]]:
    """Yield a function that reads an `Audit`; for those who have no pool of their own."""
    async with open_pool(Settings(database_url=database_url, database_pool_size=2)) as pool:
        yield lambda: read_audit(pool)


async def read_audit(pool: "Pool[asyncpg.Record]") -> Audit:
    """Everything of one moment. Raises `DatabaseUnavailable`."""
    async with long_read(pool, AUDIT_SECONDS, one_moment=True) as database:
        orders = await _orders(database)
        executions = await _executions(database)
        ledger = await database.fetch(
            "SELECT account, asset, sum(amount)::bigint AS total FROM ledger_entries "
            "GROUP BY account, asset ORDER BY account, asset"
        )
        found: list[Contradiction] = []
        for what, query in CONTRADICTIONS.items():
            rows = await database.fetch(query)
            found += [
                Contradiction(what, row["place"], row["expected"], row["found"]) for row in rows
            ]
    return Audit(
        orders=orders,
        executions=executions,
        ledger={(row["account"], row["asset"]): row["total"] for row in ledger},
        contradictions=tuple(found),
    )


async def _orders(database: "Connection[asyncpg.Record]") -> tuple[AuditedOrder, ...]:
    rows = await database.fetch(
        """
        SELECT o.order_id, o.user_id, o.symbol, o.side, o.shares, o.price_cents, o.status,
            o.filled_shares, o.filled_notional_cents, o.executed_shares, o.external_order_id,
            o.reason, coalesce(e.shares, 0) AS borne_shares, coalesce(e.cents, 0) AS borne_cents
        FROM orders o LEFT JOIN order_entries e
            ON e.order_id = o.order_id AND e.account = 'error'
        ORDER BY o.created_at, o.order_id
        """
    )
    return tuple(
        AuditedOrder(
            order_id=str(row["order_id"]),
            user_id=row["user_id"],
            symbol=row["symbol"],
            side=row["side"],
            shares=row["shares"],
            price_cents=row["price_cents"],
            status=row["status"],
            filled_shares=row["filled_shares"],
            filled_notional_cents=row["filled_notional_cents"],
            executed_shares=row["executed_shares"],
            external_order_id=row["external_order_id"],
            reason=row["reason"],
            borne_shares=row["borne_shares"],
            borne_cents=row["borne_cents"],
        )
        for row in rows
    )


async def _executions(database: "Connection[asyncpg.Record]") -> tuple[AuditedExecution, ...]:
    rows = await database.fetch(
        """
        SELECT execution_id, order_id, symbol, shares, booked_shares, price_cents,
            kind <> 'fill' AS amended
        FROM executions ORDER BY feed_seq
        """
    )
    return tuple(
        AuditedExecution(
            execution_id=row["execution_id"],
            order_id=str(row["order_id"]),
            symbol=row["symbol"],
            shares=row["shares"],
            booked_shares=row["booked_shares"],
            price_cents=row["price_cents"],
            amended=row["amended"],
        )
        for row in rows
    )


CONTRADICTIONS: Final[dict[str, str]] = {
    "the legs of a ledger source sum to zero": """
        SELECT user_id || ' ' || source || ' ' || asset AS place,
            0::bigint AS expected, sum(amount)::bigint AS found
        FROM ledger_entries GROUP BY user_id, source, asset HAVING sum(amount) <> 0
    """,
    "a cash balance is the sum of its entries": """
        SELECT a.user_id AS place, coalesce(l.total, 0) AS expected, a.cash_cents AS found
        FROM accounts a LEFT JOIN (
            SELECT user_id, sum(amount)::bigint AS total FROM ledger_entries
            WHERE account = 'user' AND asset = 'USD' GROUP BY user_id
        ) l USING (user_id)
        WHERE a.cash_cents <> coalesce(l.total, 0)
    """,
    "a position is the sum of its entries": """
        SELECT user_id || ' ' || symbol AS place,
            coalesce(l.total, 0) AS expected, coalesce(p.shares, 0) AS found
        FROM positions p FULL JOIN (
            SELECT user_id, asset AS symbol, sum(amount)::bigint AS total FROM ledger_entries
            WHERE account = 'user' AND asset <> 'USD' GROUP BY user_id, asset
        ) l USING (user_id, symbol)
        WHERE coalesce(p.shares, 0) <> coalesce(l.total, 0)
    """,
    "held cash is the sum of the holds": """
        SELECT a.user_id AS place, coalesce(h.total, 0) AS expected, a.held_cents AS found
        FROM accounts a LEFT JOIN (
            SELECT user_id, sum(amount)::bigint AS total FROM holds
            WHERE asset = 'USD' GROUP BY user_id
        ) h USING (user_id)
        WHERE a.held_cents <> coalesce(h.total, 0)
    """,
    "held shares are the sum of the holds": """
        SELECT user_id || ' ' || symbol AS place,
            coalesce(h.total, 0) AS expected, coalesce(p.held_shares, 0) AS found
        FROM positions p FULL JOIN (
            SELECT user_id, asset AS symbol, sum(amount)::bigint AS total FROM holds
            WHERE asset <> 'USD' GROUP BY user_id, asset
        ) h USING (user_id, symbol)
        WHERE coalesce(p.held_shares, 0) <> coalesce(h.total, 0)
    """,
    "a closed order holds nothing": """
        SELECT h.order_id::text AS place, 0::bigint AS expected, h.shares AS found
        FROM holds h LEFT JOIN orders o ON o.user_id = h.user_id AND o.order_id = h.order_id
        WHERE o.order_id IS NULL
           OR o.status NOT IN ('pending', 'submitted', 'partially_filled', 'pending_cancel')
    """,
    "an open order holds what may still be booked": """
        SELECT place, expected, found FROM (
            SELECT o.order_id::text AS place, coalesce(h.shares, 0) AS found,
                least(o.shares - o.matched_shares,
                    CASE WHEN o.end_status IS NULL THEN o.shares
                         ELSE greatest(o.final_shares - o.executed_shares, 0) END) AS expected
            FROM orders o LEFT JOIN holds h ON h.user_id = o.user_id AND h.order_id = o.order_id
            WHERE o.status IN ('pending', 'submitted', 'partially_filled', 'pending_cancel')
        ) open WHERE expected <> found
    """,
    "an order's filled shares are those booked": """
        SELECT o.order_id::text AS place,
            coalesce(e.booked, 0) AS expected, o.filled_shares AS found
        FROM orders o LEFT JOIN (
            SELECT order_id, sum(booked_shares)::bigint AS booked
            FROM executions GROUP BY order_id
        ) e USING (order_id)
        WHERE o.filled_shares <> coalesce(e.booked, 0)
    """,
    "an order's executed shares are those that stand": """
        SELECT o.order_id::text AS place,
            coalesce(e.shares, 0) AS expected, o.executed_shares AS found
        FROM orders o LEFT JOIN (
            SELECT order_id, sum(shares)::bigint AS shares FROM executions GROUP BY order_id
        ) e USING (order_id)
        WHERE o.executed_shares <> coalesce(e.shares, 0)
    """,
    "an order's matched shares are those of its fills": """
        SELECT o.order_id::text AS place,
            coalesce(e.shares, 0) AS expected, o.matched_shares AS found
        FROM orders o LEFT JOIN (
            SELECT order_id, sum(shares) FILTER (WHERE kind = 'fill')::bigint AS shares,
                bool_or(kind = 'correction') AS corrected
            FROM execution_reports GROUP BY order_id
        ) e USING (order_id)
        -- A correction that raises an execution beyond all that was matched adds to it.
        WHERE o.matched_shares < coalesce(e.shares, 0)
           OR (o.matched_shares > coalesce(e.shares, 0) AND NOT coalesce(e.corrected, false))
    """,
    "an order's filled shares are its customer's entries": """
        SELECT o.order_id::text AS place,
            coalesce(e.shares, 0) AS expected, o.filled_shares AS found
        FROM orders o LEFT JOIN order_entries e ON e.order_id = o.order_id AND e.account = 'user'
        WHERE o.filled_shares <> coalesce(e.shares, 0)
    """,
    "an order's filled notional is its customer's entries": """
        SELECT o.order_id::text AS place,
            coalesce(e.cents, 0) AS expected, o.filled_notional_cents AS found
        FROM orders o LEFT JOIN order_entries e ON e.order_id = o.order_id AND e.account = 'user'
        WHERE o.filled_notional_cents <> coalesce(e.cents, 0)
    """,
    "the firm bears what is executed and not the customer's": """
        SELECT o.order_id::text AS place,
            o.executed_shares - o.filled_shares AS expected, coalesce(e.shares, 0) AS found
        FROM orders o LEFT JOIN order_entries e ON e.order_id = o.order_id AND e.account = 'error'
        WHERE o.executed_shares - o.filled_shares <> coalesce(e.shares, 0)
    """,
    "no bust or correction waits for its execution": """
        SELECT order_id::text AS place, 0::bigint AS expected, count(*) AS found
        FROM waiting_amendments GROUP BY order_id
    """,
    "an account is what its last event left": """
        SELECT a.user_id AS place, e.cash_cents - e.held_cents AS expected,
            a.cash_cents - a.held_cents AS found
        FROM accounts a JOIN order_events e ON e.user_id = a.user_id AND e.seq = a.event_seq
        WHERE (e.cash_cents, e.held_cents) <> (a.cash_cents, a.held_cents)
    """,
    "a position is what its last event left": """
        SELECT p.user_id || ' ' || p.symbol AS place, e.position_shares - e.held_shares AS expected,
            p.shares - p.held_shares AS found
        FROM positions p JOIN LATERAL (
            SELECT position_shares, held_shares FROM order_events
            WHERE user_id = p.user_id AND symbol = p.symbol ORDER BY seq DESC LIMIT 1
        ) e ON true
        WHERE (e.position_shares, e.held_shares) <> (p.shares, p.held_shares)
    """,
    "a user's event sequence has no gap": """
        SELECT a.user_id AS place, a.event_seq AS expected, coalesce(e.count, 0) AS found
        FROM accounts a LEFT JOIN (
            SELECT user_id, count(*) AS count, min(seq) AS first, max(seq) AS last
            FROM order_events GROUP BY user_id
        ) e USING (user_id)
        WHERE a.event_seq <> coalesce(e.count, 0) OR a.event_seq <> coalesce(e.last, 0)
           OR coalesce(e.first, 1) <> 1
    """,
    "an order's versions have no gap": """
        SELECT o.order_id::text AS place,
            o.version::bigint AS expected, coalesce(e.count, 0) AS found
        FROM orders o LEFT JOIN (
            SELECT user_id, order_id, count(*) AS count, min(version) AS first,
                max(version) AS last
            FROM order_events GROUP BY user_id, order_id
        ) e USING (user_id, order_id)
        WHERE o.version <> coalesce(e.count, 0) OR o.version <> coalesce(e.last, 0)
           OR coalesce(e.first, 0) <> 1
    """,
}
"""What must hold whatever the exchange says; each query returns only where it does not."""
