"""What reconciliation looks at, and whom it tells. It writes no order and no money.

What is missing here goes to the order's own workflow, which books it as if it had come by the feed;
what nobody here waits for is cancelled at the exchange. The only rows written are the report's.
"""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol

from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from brokerage.contracts import statements
from brokerage.contracts.commands import OrderKey
from brokerage.contracts.events import ExecutionReport
from brokerage.contracts.gateway import CancelRequest, GatewayReply
from brokerage.contracts.ids import is_order_id
from brokerage.contracts.reconciliation import Begin, Conclusion, Found, Look, Looked
from brokerage.contracts.statements import PositionsRequest, StatedPositions, Statement
from brokerage.domain.reconciliation import (
    BookedOrder,
    Difference,
    Kind,
    Remedy,
    Report,
    StatedOrder,
    compare,
    compare_totals,
    pair,
)
from brokerage.domain.states import OPEN

if TYPE_CHECKING:
    from brokerage.bus.set_aside import SetAside
    from brokerage.gateway.client import GatewayClient
    from brokerage.gateway.statement_client import StatementClient
    from brokerage.storage.reconciliation_books import ReconciliationBooks
    from brokerage.storage.reconciliation_writes import ReconciliationWriter

PAGE_MAX: Final = 100
"""Orders of each side on one page."""
PAGES_MAX: Final = 20
"""Pages of one step of the walk; it also ends with the first page that has many differences."""
DIFFERENCES_MAX: Final = 200
LISTED_MAX: Final = 100
"""Orders that are listed of those whose reports are set aside."""
RUNS_ASKED: Final = 8
"""Workflows that are asked for at the same time."""
SEQUENCE_AHEAD: Final = "sequence-ahead"
"""How the exchange says that it has not told us so much (exchange/protocol.py)."""
SETTLE_LOOKS: Final = 60
"""What was reported before the walk is waited for so often at most,"""
SETTLE_IDLE_LOOKS: Final = 6
"""and so often once nothing more is booked: then it is missing."""
SETTLE_PAUSE_SECONDS: Final = 0.5


class Runs(Protocol):
    """The workflows of orders (`workers.order_runs`); each answers with what was done, in words."""

    async def is_running(self, order_id: str) -> bool: ...

    async def tell(self, order: OrderKey, reports: Sequence[ExecutionReport]) -> str: ...

    async def cancel(self, order: OrderKey) -> str: ...

    async def wake(self, order: OrderKey) -> str: ...


@dataclass(frozen=True, slots=True)
class _Page:
    sequence: int
    orders: list[StatedOrder]
    next_after: str | None
    reports: dict[str, list[ExecutionReport]]


class ReconciliationActivities:
    """Looks and tells; each may be repeated."""

    def __init__(
        self,
        books: "ReconciliationBooks",
        record: "ReconciliationWriter",
        aside: "SetAside",
        statement: "StatementClient",
        gateway: "GatewayClient",
        runs: Runs,
    ) -> None:
        self._books = books
        self._record = record
        self._aside = aside
        self._statement = statement
        self._gateway = gateway
        self._runs = runs

    @activity.defn
    async def begin_reconciliation(self, begin: Begin) -> Look:
        """Note that the run began, and choose the sequence that both sides are compared at.

        It is the newest one of the exchange; what was told up to there is given time to be booked.
        """
        await self._record.begin(begin)
        sequence = (await self._positions(None)).sequence
        await self._let_settle(sequence)
        return Look(sequence)

    @activity.defn
    async def look_at_orders(self, look: Look) -> Looked:
        """Compare the next pages of orders."""
        found: list[Difference] = []
        orders = reports = 0
        for _ in range(PAGES_MAX):
            activity.heartbeat()
            # Theirs first: what the exchange has, was committed here before it came there.
            theirs = await self._page(look.sequence, after=look.theirs_after)
            ours = await self._books.page(look.ours_after, PAGE_MAX)
            paired = pair(
                ours,
                theirs.orders,
                ours_more=len(ours) == PAGE_MAX,
                theirs_more=theirs.next_after,
                ours_after=look.ours_after,
                theirs_after=look.theirs_after,
            )
            for mine, stated in paired.pairs:
                found += compare(mine, stated, theirs.sequence)
                reports += len(stated.reports) if stated else 0
            orders += len(paired.pairs)
            found += await self._runs_gone([mine for mine, _ in paired.pairs if mine])
            look = replace(
                look,
                ours_after=paired.ours_after,
                theirs_after=paired.theirs_after,
                done=paired.done,
            )
            if look.done or len(found) >= DIFFERENCES_MAX:
                break
        return Looked(look, found, orders, reports)

    @activity.defn
    async def look_again(self, order_ids: list[str]) -> list[Difference]:
        """Compare these orders as they are now."""
        found: list[Difference] = []
        for ids in _pages(order_ids):
            activity.heartbeat()
            after: str | None = ""
            while after is not None:
                theirs = await self._page(None, order_ids=ids, after=after)
                end = theirs.next_after or ids[-1]
                asked = [one for one in ids if after < one <= end]
                mine = await self._books.orders([one for one in asked if is_order_id(one)])
                ours = {one.order_id: one for one in mine}
                stated = {one.order_id: one for one in theirs.orders}
                for order_id in asked:
                    found += compare(ours.get(order_id), stated.get(order_id), theirs.sequence)
                found += await self._runs_gone(mine)
                after = theirs.next_after
        return found

    @activity.defn
    async def look_at_books(self, sequence: int) -> list[Difference]:
        """Compare the totals, and look for what contradicts itself or waits for somebody."""
        positions = await self._positions(sequence)
        newest = await self._books.newest_settled()
        found: list[Difference] = []
        if newest > (counted := (await self._positions(None)).sequence):
            lost = Difference(Kind.SEQUENCE_LOST, "feed", "", str(newest), str(counted))
            found.append(lost)
        totals = await self._books.totals(sequence)
        found += compare_totals(totals, positions.cash_cents, positions.shares)
        for rule in self._books.rules:
            activity.heartbeat()
            found += await self._books.contradictions(rule)
        found += await self._books.firms_items()
        found += _set_aside(Kind.REPORTS_PARKED, await self._aside.parked())
        found += _set_aside(Kind.DEAD_LETTERS, await self._aside.dead())
        return found

    @activity.defn
    async def heal(self, differences: list[Difference]) -> list[str]:
        """Send what is missing to whom it concerns; a line for each difference, in their order."""
        by_order: defaultdict[str, list[Difference]] = defaultdict(list)
        for one in differences:
            by_order[one.subject].append(one)
        told = await self._reports_of(
            [id for id, all in by_order.items() if any(one.remedy is Remedy.TELL for one in all)]
        )
        notes: dict[tuple[str, str, str], str] = {}
        for order_id, ones in by_order.items():
            activity.heartbeat()
            done: dict[Remedy | None, str] = {None: ""}
            for one in ones:
                if one.remedy not in done:
                    done[one.remedy] = await self._send(one, ones, told.get(order_id, []))
                notes[one.identity] = done[one.remedy]
        return [notes[one.identity] for one in differences]

    @activity.defn
    async def note_differences(self, run_id: str, found: list[Found]) -> None:
        """Keep what was seen twice, healed or not."""
        await self._record.note(run_id, found)

    @activity.defn
    async def conclude_reconciliation(self, end: Conclusion) -> None:
        """Keep the verdict."""
        await self._record.conclude(end)

    async def _let_settle(self, sequence: int) -> None:
        least: int | None = None
        idle = 0
        for _ in range(SETTLE_LOOKS):
            activity.heartbeat()
            count = await self._books.unsettled_count(sequence)
            idle = idle + 1 if count == least else 0
            least = count
            if not count or idle >= SETTLE_IDLE_LOOKS:
                return
            await asyncio.sleep(SETTLE_PAUSE_SECONDS)

    async def _send(
        self, one: Difference, ones: Sequence[Difference], reports: list[ExecutionReport]
    ) -> str:
        order = OrderKey(one.subject, one.user_id or "")
        match one.remedy:
            case Remedy.TELL:
                missing = {other.key for other in ones if other.remedy is Remedy.TELL}
                return await self._runs.tell(order, [r for r in reports if r.report_id in missing])
            case Remedy.CANCEL_HERE:
                return await self._runs.cancel(order)
            case Remedy.CANCEL_THERE:
                reply = await self._gateway.cancel(CancelRequest(one.subject, None))
                return f"cancelled at the exchange: {_said(reply)}"
            case _:
                return await self._runs.wake(order)

    async def _reports_of(self, order_ids: Sequence[str]) -> dict[str, list[ExecutionReport]]:
        found: dict[str, list[ExecutionReport]] = {}
        for ids in _pages(order_ids):
            after: str | None = ""
            while after is not None:
                page = await self._page(None, order_ids=ids, after=after)
                found |= page.reports
                after = page.next_after
        return found

    async def _runs_gone(self, ours: Sequence[BookedOrder]) -> list[Difference]:
        """Open orders whose workflow does not run: nothing is lost, the next report would start it;
        but nobody asks the exchange for them meanwhile.
        """
        slots = asyncio.Semaphore(RUNS_ASKED)

        async def ask(order: BookedOrder) -> bool:
            async with slots:
                return await self._runs.is_running(order.order_id)

        async with asyncio.TaskGroup() as asking:
            asked = [
                (order, asking.create_task(ask(order))) for order in ours if order.status in OPEN
            ]
        return [
            Difference(
                Kind.WORKFLOW_GONE,
                order.order_id,
                ours=f"{order.status}, and no workflow runs",
                user_id=order.user_id,
                remedy=Remedy.WAKE,
            )
            for order, running in asked
            if not running.result()
        ]

    async def _page(
        self, sequence: int | None, *, order_ids: Sequence[str] = (), after: str = ""
    ) -> _Page:
        request = statements.StatementRequest(sequence, after, list(order_ids))
        answer = await self._statement.page(request)
        if answer.outcome != "stated":
            raise _try_again(answer)
        return _Page(
            answer.sequence,
            [_stated(one) for one in answer.orders],
            answer.next_after,
            {one.client_order_id: one.reports for one in answer.orders},
        )

    async def _positions(self, sequence: int | None) -> StatedPositions:
        answer = await self._statement.positions(PositionsRequest(sequence))
        if answer.outcome != "stated":
            raise _try_again(answer)
        return answer


def _stated(order: statements.StatedOrder) -> StatedOrder:
    return StatedOrder(
        order_id=order.client_order_id,
        external_order_id=order.external_order_id,
        symbol=order.symbol,
        side=order.side,
        shares=order.shares,
        price_cents=order.price_cents,
        status=order.status,
        cumulative_shares=order.cumulative_shares,
        cumulative_notional_cents=order.cumulative_notional_cents,
        reports={
            one.report_id: Report(
                one.report_id, one.kind, one.feed_seq, one.shares, one.price_cents, one.execution_id
            )
            for one in order.reports
        },
        is_cut=order.is_cut,
    )


def _set_aside(kind: Kind, counts: Mapping[str, int]) -> list[Difference]:
    return [
        Difference(kind, external_order_id, ours=f"{count} reports", theirs="told")
        for external_order_id, count in sorted(counts.items())[:LISTED_MAX]
    ]


def _pages(order_ids: Sequence[str]) -> list[list[str]]:
    ids = sorted(set(order_ids))
    return [ids[start : start + PAGE_MAX] for start in range(0, len(ids), PAGE_MAX)]


def _said(reply: GatewayReply) -> str:
    return f"{reply.outcome} {reply.code or ''}".strip()


def _try_again(answer: Statement | StatedPositions) -> ApplicationError:
    return ApplicationError(
        f"no statement: {answer.code} {answer.reason or ''}".strip(),
        type="StatementUnavailable",
        # It counts from one again: of this run's sequence there will be no statement any more.
        non_retryable=answer.code == SEQUENCE_AHEAD,
        category=ApplicationErrorCategory.BENIGN,
    )
