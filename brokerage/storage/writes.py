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
from typing import Any

import asyncpg
import structlog

from brokerage.contracts.commands import Reply
from brokerage.contracts.events import ExecutionReport
from brokerage.contracts.problems import encode
from brokerage.contracts.views import UNANSWERED, first_reply, order_view
from brokerage.domain.booking import Books, Change, Detail, books_after
from brokerage.domain.errors import InvariantBroken
from brokerage.domain.ledger import CASH
from brokerage.domain.orders import Order, Side
from brokerage.domain.risk import Standing
from brokerage.storage.alarms import tell_of
from brokerage.storage.amendments import Amendments
from brokerage.storage.pool import Connection, DatabaseUnavailable, Pool, connection
from brokerage.storage.restores import Restores
from brokerage.storage.rows import ORDER_COLUMNS, books_from, order_from, standing_from
from brokerage.storage.statements import BOOK_REPORT, CHANGE_ORDER, NEW_ORDER, NOTE

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class StoredOrder:
    """An order's row, and the first reply kept for it, if there is one."""

    order: Order
    reply: Reply | None


class OpenBooks:
    """The books of one order within one transaction, the user locked.

    `order` is None where the order does not exist yet; `standing` is read for one that is to be
    placed; `known_reports` are booked already. Storing a change moves books and order on, so that
    the next decision sees what the last one did. `trace` says how all of it came about, and is kept
    with each event.
    """

    def __init__(
        self,
        database: "Connection[asyncpg.Record]",
        books: Books,
        order: Order | None,
        known_reports: frozenset[str],
        standing: Standing | None = None,
        trace: Detail | None = None,
    ) -> None:
        self._database = database
        self.books = books
        self.order = order
        self.standing = standing
        self.known_reports = known_reports
        self._trace = trace or {}
        self.reply: Reply | None = None
        self.seq: int | None = None
        self.changes: list[Change] = []
        self.amendments = Amendments(database)
        self.restores = Restores(database)

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

        Raises `InvariantBroken` if the order is not at the version before the change, or if money
        moves that no report accounts for.
        """
        if report is None and change.postings:
            raise InvariantBroken(
                f"{change.step} of {change.order.order_id} moves money unreported"
            )
        order = change.order
        was_unanswered = self.order is None or self.order.status in UNANSWERED
        reply = first_reply(order, change.refusal) if was_unanswered else None
        was_mapped = self.order is not None and self.order.external_order_id is not None
        if idempotency_key is not None:
            statement = NEW_ORDER
        else:
            statement = CHANGE_ORDER if report is None else BOOK_REPORT
        after = books_after(self.books, change)
        now = datetime.now(UTC)
        seq = await statement.value(
            self._database,
            {
                **_order_values(order),
                **_change_values(change),
                **_books_values(after),
                **_report_values(report),
                "detail": self._detail(change.detail, reply),
                "idempotency_key": idempotency_key,
                "newly_mapped": None if was_mapped else order.external_order_id,
                "source": report.report_id if report else f"{order.order_id}:{change.step}",
                "reply_status": reply.status if reply else None,
                "reply_body": reply.body if reply else None,
                "actor": actor,
                "address": address,
                "view": encode(order_view(order)),
                "now": now,
            },
        )
        if seq is None:
            raise InvariantBroken(f"{order.order_id} is not at version {order.version - 1}")
        self.seq = seq
        self.changes.append(change)
        self.reply = self.reply or reply
        self.order = order
        self.books = after
        return order

    async def note_report(self, report: ExecutionReport, order: Order, *, actor: str) -> None:
        """Remember that a report is booked that changed nothing."""
        values = _order_values(order) | _report_values(report)
        detail = self._detail({})
        await NOTE.value(self._database, _note_values(values, "report", actor, detail))

    def _detail(self, detail: Detail, reply: Reply | None = None) -> str:
        answered = {} if reply is None else {"replyStatus": reply.status}
        return json.dumps({**detail, **self._trace, **answered})


class OrderWriter:
    """Reads and changes orders on behalf of their workflows."""

    def __init__(self, pool: "Pool[asyncpg.Record]") -> None:
        self._pool = pool

    @asynccontextmanager
    async def transaction(
        self,
        user_id: str,
        order_id: str,
        symbol: str = "",
        *,
        side: Side | None = None,
        reports: Sequence[str] = (),
        trace: Detail,
    ) -> AsyncIterator[OpenBooks]:
        """Lock the user and open the books of one order; all is written on the way out, or nothing.

        `symbol` and `side` are those of an order that may not exist yet; `reports` are looked up
        among those booked. Raises `DatabaseUnavailable`: then whether it was committed is unknown,
        and the caller repeats the step.
        """
        async with connection(self._pool) as database, database.transaction():
            row = await database.fetchrow(
                "SELECT * FROM lock_books($1, $2, $3, $4, $5)",
                user_id,
                order_id,
                symbol,
                side or "",
                list(reports),
            )
            if row is None:
                raise InvariantBroken(f"user {user_id} has no account")
            placed = row["order"]
            exists = placed is not None and placed["order_id"] is not None
            opened = OpenBooks(
                database,
                books_from(row),
                order_from(placed) if exists else None,
                frozenset(row["known_reports"]),
                None if exists or side is None else standing_from(row, side),
                trace,
            )
            yield opened
        for change in opened.changes:
            tell_of(change)

    async def free_placing_lock(self, user_id: str, order_id: str) -> None:
        """Let the next order of its user and symbol in, whatever becomes of this one."""
        async with connection(self._pool) as database:
            await database.execute(
                "DELETE FROM placing_locks WHERE user_id = $1 AND order_id = $2", user_id, order_id
            )

    async def note_attempt(self, order: Order, *, actor: str, trace: Detail) -> None:
        """Keep what an attempt at the exchange said, which changed nothing of the order.

        What was learned counts without its note too: where Postgres is away there is none.
        """
        values = _order_values(order) | _report_values(None)
        try:
            async with connection(self._pool) as database:
                note = _note_values(values, "attempt", actor, json.dumps(trace))
                await NOTE.value(database, note)
        except DatabaseUnavailable as error:
            log.warning("attempt_not_noted", order_id=order.order_id, error=str(error))

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


def _order_values(order: Order) -> dict[str, Any]:
    return {
        "order_id": order.order_id,
        "user_id": order.user_id,
        "symbol": order.symbol,
        "side": order.side.value,
        "order_type": order.order_type.value,
        "time_in_force": order.time_in_force.value,
        "shares": order.shares,
        "limit_price_cents": order.limit_price_cents,
        "price_cents": order.price_cents,
        "send_by": order.send_by,
        "created_at": order.created_at,
        "updated_at": order.updated_at,
        "status": order.status.value,
        "outcome": order.outcome.value,
        "filled_shares": order.filled_shares,
        "filled_notional_cents": order.filled_notional_cents,
        "executed_shares": order.executed_shares,
        "matched_shares": order.matched_shares,
        "final_shares": order.final_shares,
        "end_status": order.end_status.value if order.end_status else None,
        "external_order_id": order.external_order_id,
        "reason": order.reason,
        "version": order.version,
    }


def _change_values(change: Change) -> dict[str, Any]:
    is_buy = change.order.side is Side.BUY
    return {
        "step": change.step,
        "kind": change.kind,
        "cash_cents_delta": change.cash_cents_delta,
        "held_cents_delta": change.held_cents_delta,
        "position_shares_delta": change.position_shares_delta,
        "held_shares_delta": change.held_shares_delta,
        "hold_asset": CASH if is_buy else change.order.symbol,
        "hold_shares": change.hold_shares,
        "hold_amount": change.hold_shares * (change.order.price_cents if is_buy else 1),
        "booked_shares": change.booked.shares,
        "booked_cents": change.booked.cents,
        "posting_accounts": [posting.account.value for posting in change.postings],
        "posting_assets": [posting.asset for posting in change.postings],
        "posting_amounts": [posting.amount for posting in change.postings],
        "posting_causes": [posting.cause for posting in change.postings],
    }


def _books_values(books: Books) -> dict[str, int]:
    return {
        "cash_cents": books.cash_cents,
        "held_cents": books.held_cents,
        "position_shares": books.position_shares,
        "held_shares": books.held_shares,
    }


def _note_values(values: dict[str, Any], kind: str, actor: str, detail: str) -> dict[str, Any]:
    noted = {"kind": kind, "actor": actor, "detail": detail, "now": datetime.now(UTC)}
    return {**values, **noted, "booked_shares": 0, "booked_cents": 0}


def _report_values(report: ExecutionReport | None) -> dict[str, Any]:
    if report is None:
        return dict.fromkeys(_REPORT_VALUES)
    reported_at = datetime.fromtimestamp(report.at_ms / 1000, UTC)
    return {
        "report_id": report.report_id,
        "report_kind": report.kind,
        "feed_seq": report.feed_seq,
        "report_shares": report.shares,
        "report_price_cents": report.price_cents,
        "amends": report.execution_id,
        "reported_at": reported_at,
    }


_REPORT_VALUES = (
    "report_id",
    "report_kind",
    "feed_seq",
    "report_shares",
    "report_price_cents",
    "amends",
    "reported_at",
)
