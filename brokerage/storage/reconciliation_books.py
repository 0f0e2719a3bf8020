"""Our side of a reconciliation: orders page by page, the totals, and what contradicts itself."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

import asyncpg

from brokerage.domain.reconciliation import (
    AssetTotal,
    BookedOrder,
    Difference,
    Kind,
    Report,
    Sums,
)
from brokerage.domain.states import OrderStatus
from brokerage.storage.audit import AUDIT_SECONDS, CONTRADICTIONS
from brokerage.storage.pool import Connection, Pool, connection, long_read

PAGE_SECONDS: Final = 10.0
LISTED_MAX: Final = 100
"""Contradictions of one kind that are listed: more of them have one cause."""
WINDOW: Final = 2_000
"""Reports that may be under way together (`brokerage.bus.executions.PENDING_MAX`)."""
_NIL: Final = "00000000-0000-0000-0000-000000000000"

_ORDERS: Final = """
    SELECT o.order_id, o.user_id, o.symbol, o.side, o.shares, o.price_cents, o.status,
        o.end_status IS NOT NULL AS end_told, o.executed_shares, o.external_order_id,
        x.external_order_id AS mapped_id,
        extract(epoch FROM clock_timestamp() - o.updated_at)::float8 AS quiet_seconds
    FROM order_routes r
    JOIN orders o ON o.user_id = r.user_id AND o.order_id = r.order_id
    LEFT JOIN external_orders x ON x.order_id = r.order_id
"""


class ReconciliationBooks:
    """Reads; every method raises `DatabaseUnavailable`. `rules` are those of the audit."""

    rules: Final = tuple(CONTRADICTIONS)

    def __init__(self, pool: "Pool[asyncpg.Record]") -> None:
        self._pool = pool

    async def page(self, after: str, limit: int) -> list[BookedOrder]:
        """At most `limit` orders of all users with an id above `after`, by id."""
        return await self._booked(
            f"{_ORDERS} WHERE r.order_id > $1 ORDER BY r.order_id LIMIT $2", after or _NIL, limit
        )

    async def orders(self, order_ids: Sequence[str]) -> list[BookedOrder]:
        """Those of these orders that there are."""
        return await self._booked(f"{_ORDERS} WHERE r.order_id = ANY ($1::uuid[])", order_ids)

    async def _booked(self, statement: str, *values: object) -> list[BookedOrder]:
        async with (
            connection(self._pool, PAGE_SECONDS) as database,
            database.transaction(isolation="repeatable_read", readonly=True),
        ):
            rows = await database.fetch(statement, *values)
            ids = [row["order_id"] for row in rows]
            reports = await _reports(database, ids)
            entries = await database.fetch(
                """
                SELECT r.order_id,
                    coalesce(sum(l.amount) FILTER (WHERE l.asset <> 'USD'), 0)::bigint AS shares,
                    coalesce(sum(l.amount) FILTER (WHERE l.asset = 'USD'), 0)::bigint AS cents
                FROM execution_reports r
                JOIN ledger_entries l ON l.user_id = r.user_id AND l.source = r.report_id
                WHERE r.order_id = ANY ($1) AND l.account IN ('user', 'error', 'suspense')
                GROUP BY r.order_id
                """,
                ids,
            )
        moved = {row["order_id"]: (row["shares"], row["cents"]) for row in entries}
        return [
            _order(row, reports[row["order_id"]], moved.get(row["order_id"], (0, 0)))
            for row in rows
        ]

    async def newest_settled(self) -> int:
        """The highest member sequence of which anything is booked."""
        async with connection(self._pool) as database:
            seq: int | None = await database.fetchval("SELECT max(feed_seq) FROM execution_reports")
        return seq or 0

    async def unsettled_count(self, sequence: int) -> int:
        """How many of the newest `WINDOW` messages up to `sequence` are not booked."""
        async with connection(self._pool) as database:
            settled: int = await database.fetchval(
                "SELECT count(DISTINCT feed_seq) FROM execution_reports "
                "WHERE feed_seq > $1::bigint - $2 AND feed_seq BETWEEN 1 AND $1",
                sequence,
                WINDOW,
            )
        return min(sequence, WINDOW) - settled

    async def totals(self, sequence: int) -> dict[str, AssetTotal]:
        """What all entries come to by asset, in one snapshot; it reads the whole ledger."""
        async with long_read(self._pool, AUDIT_SECONDS, one_moment=True) as database:
            rows = await database.fetch(
                """
                SELECT asset,
                    coalesce(sum(amount) FILTER (WHERE account IN ('user', 'error', 'suspense')),
                        0)::bigint AS held,
                    coalesce(sum(amount) FILTER (WHERE account = 'opening'), 0)::bigint AS opening
                FROM ledger_entries GROUP BY asset
                """,
                timeout=AUDIT_SECONDS,
            )
            later = await database.fetch(
                """
                SELECT l.asset, sum(l.amount)::bigint AS amount
                FROM execution_reports r
                JOIN ledger_entries l ON l.user_id = r.user_id AND l.source = r.report_id
                WHERE r.feed_seq > $1 AND l.account IN ('user', 'error', 'suspense')
                GROUP BY l.asset
                """,
                sequence,
                timeout=AUDIT_SECONDS,
            )
        after = {row["asset"]: row["amount"] for row in later}
        return {
            row["asset"]: AssetTotal(row["held"], after.get(row["asset"], 0), row["opening"])
            for row in rows
        }

    async def contradictions(self, what: str) -> list[Difference]:
        """Where our tables contradict one rule of the audit; it reads whole tables."""
        query = f"SELECT * FROM ({CONTRADICTIONS[what]}) c LIMIT $1"  # noqa: S608 - rules are constants
        rows = await self._patiently(query)
        return [
            Difference(
                Kind.BOOKS_CONTRADICT, row["place"], what, str(row["found"]), str(row["expected"])
            )
            for row in rows
        ]

    async def firms_items(self) -> list[Difference]:
        """What the error and the suspense account hold, by order and cause."""
        rows = await self._patiently(
            """
            SELECT account, user_id, coalesce(order_id::text, source) AS place,
                coalesce(cause, 'not-recorded') AS cause, asset, sum(amount)::bigint AS amount
            FROM ledger_entries WHERE account IN ('error', 'suspense')
            GROUP BY 1, 2, 3, 4, 5 HAVING sum(amount) <> 0 ORDER BY 1, 3, 5 LIMIT $1
            """,
        )
        kinds = {"error": Kind.ERROR_ACCOUNT_OPEN, "suspense": Kind.SUSPENSE_OPEN}
        return [
            Difference(
                kinds[row["account"]],
                row["place"],
                f"{row['cause']} {row['asset']}",
                str(row["amount"]),
                "0",
                row["user_id"],
            )
            for row in rows
        ]

    async def _patiently(self, query: str) -> list[asyncpg.Record]:
        async with long_read(self._pool, AUDIT_SECONDS) as database:
            return await database.fetch(query, LISTED_MAX, timeout=AUDIT_SECONDS)


async def _reports(
    database: "Connection[asyncpg.Record]", ids: Sequence[object]
) -> defaultdict[object, dict[str, Report]]:
    rows = await database.fetch(
        "SELECT order_id, report_id, kind, feed_seq, shares, price_cents, amends "
        "FROM execution_reports WHERE order_id = ANY ($1) ORDER BY feed_seq",
        ids,
    )
    found: defaultdict[object, dict[str, Report]] = defaultdict(dict)
    for order_id, *report in rows:
        found[order_id][report[0]] = Report(*report)
    return found


def _order(row: asyncpg.Record, reports: dict[str, Report], moved: tuple[int, int]) -> BookedOrder:
    sign = 1 if row["side"] == "buy" else -1
    return BookedOrder(
        order_id=str(row["order_id"]),
        user_id=row["user_id"],
        symbol=row["symbol"],
        side=row["side"],
        shares=row["shares"],
        price_cents=row["price_cents"],
        status=OrderStatus(row["status"]),
        end_told=row["end_told"],
        executed_shares=row["executed_shares"],
        external_order_id=row["external_order_id"],
        mapped_id=row["mapped_id"],
        quiet_seconds=row["quiet_seconds"],
        reports=reports,
        entries=Sums(sign * moved[0], -sign * moved[1]),
    )
