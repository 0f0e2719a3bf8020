"""How an execution stands, and the busts and corrections that came before it.

Within the transaction of `brokerage.storage.writes`, the user locked.
"""

from dataclasses import dataclass

import asyncpg
import msgspec

from brokerage.contracts.events import ExecutionReport
from brokerage.domain.ledger import Allocation, ErrorCause, LedgerAccount, Posting, allocation_of
from brokerage.domain.orders import Order
from brokerage.storage.pool import Connection

_REPORT = msgspec.json.Decoder(ExecutionReport)


@dataclass(frozen=True, slots=True)
class Standing:
    """What an execution adds up to; `feed_seq` is that of the newest report it includes."""

    allocation: Allocation
    feed_seq: int


class Amendments:
    """Reads executions and keeps what has to wait for them."""

    def __init__(self, database: "Connection[asyncpg.Record]") -> None:
        self._database = database

    async def standing(self, order: Order, execution_id: str) -> Standing | None:
        """How an execution of the order stands, by its postings; None if it is not booked."""
        reports = await self._database.fetch(
            "SELECT report_id, feed_seq FROM execution_reports "
            "WHERE order_id = $1 AND kind <> 'end' AND (report_id = $2 OR amends = $2)",
            order.order_id,
            execution_id,
        )
        if not reports:
            return None
        legs = await self._database.fetch(
            "SELECT account, asset, cause, sum(amount)::bigint AS amount FROM ledger_entries "
            "WHERE user_id = $1 AND source = ANY ($2) GROUP BY account, asset, cause",
            order.user_id,
            [report["report_id"] for report in reports],
        )
        postings = [
            Posting(
                LedgerAccount(leg["account"]),
                leg["asset"],
                leg["amount"],
                cause=ErrorCause(leg["cause"]) if leg["cause"] else None,
            )
            for leg in legs
        ]
        newest = max(report["feed_seq"] for report in reports)
        return Standing(allocation_of(order.side, postings), newest)

    async def waiting(self, order: Order) -> list[ExecutionReport]:
        """The reports that wait for an execution of the order."""
        rows = await self._database.fetch(
            "SELECT report FROM waiting_amendments WHERE order_id = $1", order.order_id
        )
        return [_REPORT.decode(row["report"]) for row in rows]

    async def keep(self, order: Order, report: ExecutionReport) -> None:
        """Let a report wait; one that waits already stays as it is."""
        await self._database.execute(
            "INSERT INTO waiting_amendments (order_id, report_id, report) VALUES ($1, $2, $3) "
            "ON CONFLICT DO NOTHING",
            order.order_id,
            report.report_id,
            msgspec.json.encode(report).decode(),
        )

    async def release(self, order: Order, report: ExecutionReport) -> None:
        """Let it wait no longer: it is being booked."""
        await self._database.execute(
            "DELETE FROM waiting_amendments WHERE order_id = $1 AND report_id = $2",
            order.order_id,
            report.report_id,
        )
