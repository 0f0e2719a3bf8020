"""The one way an order, its money and its history change. For activities only.

`OrderWriter.transaction` reads the books under the user's lock; the domain decides; `store` writes
all of the change. A step that was stored before shows in what was read; were it missed, the unique
keys of `order_events` and `execution_reports` refuse the second one.
"""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import asyncpg

from brokerage.contracts.commands import Reply
from brokerage.contracts.events import ExecutionReport
from brokerage.contracts.problems import encode
from brokerage.contracts.views import UNANSWERED, first_reply, order_view
from brokerage.domain.booking import Books, Change, books_after
from brokerage.domain.errors import InvariantBroken
from brokerage.domain.ledger import CASH
from brokerage.domain.orders import Order, Side
from brokerage.storage.pool import Connection, Pool, connection
from brokerage.storage.rows import ORDER_COLUMNS, order_from


@dataclass(frozen=True, slots=True)
class StoredOrder:
    """An order's row, and the first reply kept for it, if there is one."""

    order: Order
    reply: Reply | None


class OpenBooks:
    """The books of one order within one transaction, the user locked.

    `order` is None where the order does not exist yet; `known_reports` are booked already. Storing
    a change moves all of it on, so that the next decision sees what the last one did.
    """

    def __init__(
        self,
        database: "Connection[asyncpg.Record]",
        books: Books,
        order: Order | None,
        known_reports: frozenset[str],
    ) -> None:
        self._database = database
        self.books = books
        self.order = order
        self.known_reports = known_reports
        self.reply: Reply | None = None
        self.seq: int | None = None

    async def store(
        self,
        change: Change,
        *,
        actor: str,
        address: str = "",
        idempotency_key: str | None = None,
        report: ExecutionReport | None = None,
    ) -> Order:
        """Write one change; `idempotency_key` marks a new order, `report` what is booked by it.

        Raises `InvariantBroken` if the order is not at the version before the change.
        """
        order = change.order
        if idempotency_key is not None:
            await _insert_order(self._database, order, idempotency_key)
        elif not await _update_order(self._database, order):
            raise InvariantBroken(f"{order.order_id} is not at version {order.version - 1}")
        was_unanswered = self.order is None or self.order.status in UNANSWERED
        reply = first_reply(order, change.refusal) if was_unanswered else None
        now = datetime.now(UTC)
        self.seq = await _store_consequences(
            self._database, change, reply, report, now, actor=actor, address=address
        )
        if report is not None:
            await self.note_report(report, order, booked_shares=change.booked_shares)
        self.reply = self.reply or reply
        self.order = order
        self.books = books_after(self.books, change)
        return order

    async def note_report(
        self, report: ExecutionReport, order: Order, booked_shares: int = 0
    ) -> None:
        """Remember that a report is booked, also one that changed nothing."""
        await self._database.execute(
            "INSERT INTO execution_reports VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
            report.report_id,
            report.kind,
            report.feed_seq,
            order.order_id,
            order.user_id,
            order.symbol,
            report.shares,
            booked_shares,
            report.price_cents,
            datetime.fromtimestamp(report.at_ms / 1000, UTC),
            datetime.now(UTC),
        )

    async def map_external(self, order: Order) -> None:
        """Remember which order the exchange means by its id; a second order is impossible."""
        await self._database.execute(
            "INSERT INTO external_orders (external_order_id, order_id, user_id) "
            "VALUES ($1, $2, $3)",
            order.external_order_id,
            order.order_id,
            order.user_id,
        )


class OrderWriter:
    """Reads and changes orders on behalf of their workflows."""

    def __init__(self, pool: "Pool[asyncpg.Record]") -> None:
        self._pool = pool

    @asynccontextmanager
    async def transaction(
        self, user_id: str, order_id: str, symbol: str = "", reports: Sequence[str] = ()
    ) -> AsyncIterator[OpenBooks]:
        """Lock the user and open the books of one order; all is written on the way out, or nothing.

        `symbol` names the position for an order that does not exist yet; `reports` are looked up
        among those booked. Raises `DatabaseUnavailable`: then whether it was committed is unknown,
        and the caller repeats the step.
        """
        async with connection(self._pool) as database, database.transaction():
            row = await database.fetchrow(
                "SELECT * FROM lock_books($1, $2, $3, $4)", user_id, order_id, symbol, list(reports)
            )
            if row is None:
                raise InvariantBroken(f"user {user_id} has no account")
            placed = row["order"]
            books = Books(
                cash_cents=row["cash_cents"],
                held_cents=row["held_cents"],
                position_shares=row["position_shares"],
                held_shares=row["held_shares"],
                hold_shares=row["hold_shares"],
            )
            exists = placed is not None and placed["order_id"] is not None
            yield OpenBooks(
                database,
                books,
                order_from(placed) if exists else None,
                frozenset(row["known_reports"]),
            )

    async def read(self, user_id: str, order_id: str) -> StoredOrder | None:
        """The order as it is now, or None."""
        columns = ", ".join(f"o.{column}" for column in ORDER_COLUMNS.split(", "))
        async with connection(self._pool) as database:
            row = await database.fetchrow(
                f"SELECT {columns}, k.reply_status, k.reply_body FROM orders o "  # noqa: S608 - columns are a constant
                "JOIN idempotency_keys k ON k.user_id = $1 AND k.key = o.idempotency_key "
                "WHERE o.user_id = $1 AND o.order_id = $2",
                user_id,
                order_id,
            )
        if row is None:
            return None
        reply = Reply(row["reply_status"], row["reply_body"]) if row["reply_status"] else None
        return StoredOrder(order_from(row), reply)


async def _insert_order(
    database: "Connection[asyncpg.Record]", order: Order, idempotency_key: str
) -> None:
    await database.execute(
        """
        WITH route AS (
            INSERT INTO order_routes (order_id, user_id) VALUES ($2, $1)
        )
        INSERT INTO orders (
            user_id, order_id, idempotency_key, symbol, side, order_type, time_in_force, shares,
            limit_price_cents, price_cents, send_by, status, outcome, filled_shares,
            filled_notional_cents, executed_shares, final_shares, reason, version,
            created_at, updated_at
        ) VALUES (
            $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 0, 0, 0, $14, $15, $16, $17, $18
        )
        """,
        order.user_id,
        order.order_id,
        idempotency_key,
        order.symbol,
        order.side.value,
        order.order_type.value,
        order.time_in_force.value,
        order.shares,
        order.limit_price_cents,
        order.price_cents,
        order.send_by,
        order.status.value,
        order.outcome.value,
        order.final_shares,
        order.reason,
        order.version,
        order.created_at,
        order.updated_at,
    )


async def _update_order(database: "Connection[asyncpg.Record]", order: Order) -> bool:
    return bool(
        await database.fetchval(
            """
            UPDATE orders SET
                status = $3, outcome = $4, filled_shares = $5, filled_notional_cents = $6,
                executed_shares = $7, final_shares = $8, end_status = $9, external_order_id = $10,
                reason = $11, version = $12, updated_at = $13
            WHERE user_id = $1 AND order_id = $2 AND version = $12 - 1
            RETURNING true
            """,
            order.user_id,
            order.order_id,
            order.status.value,
            order.outcome.value,
            order.filled_shares,
            order.filled_notional_cents,
            order.executed_shares,
            order.final_shares,
            order.end_status.value if order.end_status else None,
            order.external_order_id,
            order.reason,
            order.version,
            order.updated_at,
        )
    )


async def _store_consequences(
    database: "Connection[asyncpg.Record]",
    change: Change,
    reply: Reply | None,
    report: ExecutionReport | None,
    now: datetime,
    *,
    actor: str,
    address: str,
) -> int:
    """Balances, hold, postings, first reply, event. Returns the user's event sequence."""
    order = change.order
    is_buy = order.side is Side.BUY
    seq: int = await database.fetchval(
        _CONSEQUENCES,
        order.user_id,
        order.order_id,
        order.symbol,
        change.cash_cents_delta,
        change.held_cents_delta,
        change.position_shares_delta,
        change.held_shares_delta,
        change.hold_shares,
        CASH if is_buy else order.symbol,
        change.hold_shares * (order.price_cents if is_buy else 1),
        change.step,
        change.kind,
        order.version,
        actor,
        address,
        json.dumps(change.detail),
        encode(order_view(order)),
        now,
        report.report_id if report else f"{order.order_id}:{change.step}",
        [posting.account.value for posting in change.postings],
        [posting.asset for posting in change.postings],
        [posting.amount for posting in change.postings],
        reply.status if reply else None,
        reply.body if reply else None,
    )
    return seq


# Everything beside the order itself, in one statement: a round trip costs more than the work.
_CONSEQUENCES = """
WITH account AS (
    UPDATE accounts SET cash_cents = cash_cents + $4, held_cents = held_cents + $5,
        event_seq = event_seq + 1
    WHERE user_id = $1 RETURNING event_seq
), moved_position AS (
    UPDATE positions SET shares = shares + $6::bigint, held_shares = held_shares + $7::bigint
    WHERE user_id = $1 AND symbol = $3 AND ($6::bigint <> 0 OR $7::bigint <> 0) RETURNING symbol
), new_position AS (
    INSERT INTO positions (user_id, symbol, shares, held_shares)
    SELECT $1, $3, $6::bigint, $7::bigint
    WHERE $6::bigint <> 0 AND NOT EXISTS (SELECT FROM moved_position)
), kept_hold AS (
    INSERT INTO holds AS h (user_id, order_id, asset, shares, amount)
    SELECT $1, $2, $9, $8::bigint, $10::bigint WHERE $8::bigint > 0
    ON CONFLICT (user_id, order_id) DO UPDATE SET
        shares = EXCLUDED.shares, amount = EXCLUDED.amount WHERE h.shares <> EXCLUDED.shares
), freed_hold AS (
    DELETE FROM holds WHERE user_id = $1 AND order_id = $2 AND $8::bigint = 0
), posted AS (
    INSERT INTO ledger_entries
        (user_id, source, leg, account, asset, amount, order_id, booked_at)
    SELECT $1, $19, leg, account, asset, amount, $2, $18
    FROM unnest($20::text[], $21::text[], $22::bigint[])
        WITH ORDINALITY AS posting (account, asset, amount, leg)
), replied AS (
    UPDATE idempotency_keys k SET reply_status = $23, reply_body = $24
    FROM orders o
    WHERE $23::smallint IS NOT NULL AND o.user_id = $1 AND o.order_id = $2
      AND k.user_id = $1 AND k.key = o.idempotency_key AND k.reply_status IS NULL
)
INSERT INTO order_events
    (user_id, seq, order_id, step, kind, version, actor, address, detail, "order", at)
SELECT $1, event_seq, $2, $11, $12, $13, $14, $15, $16, $17, $18 FROM account
RETURNING seq
"""
