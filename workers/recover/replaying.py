"""What the exchange says happened since the backup, written down again in the order it happened.

The order matters: what a customer sold paid for what he bought next. Were it booked the other way
round, the firm would seem to bear a part of it.
"""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from activities.restoring import RestoringActivities
from brokerage.contracts.ids import is_order_id
from brokerage.contracts.statements import StatedOrder, StatementRequest
from brokerage.domain.orders import Order
from brokerage.gateway.statements import Statements
from brokerage.storage.pool import Pool
from brokerage.storage.recovery_reads import orders_by_id
from workers.recover.preconditions import Refused, Tell

USERS_MAX: Final = 8
"""Replayed side by side."""


@dataclass(slots=True)
class History:
    """What the exchange has of us and our rows have not, or not all of it: orders without a row,
    and rows to be brought up to date. `foreign` are orders of our member that are not ours.
    """

    lost: list[StatedOrder] = field(default_factory=list)
    behind: list[tuple[Order, StatedOrder]] = field(default_factory=list)
    orders: int = 0
    foreign: int = 0


async def read_history(
    statements: Statements, pool: "Pool[Any]", settled_seq: int, tell: Tell
) -> History:
    """Compare all of the exchange's orders with our rows, all at one sequence of its reports.

    Raises `Refused` where the exchange does not answer, `DatabaseUnavailable`.
    """
    history = History()
    request: StatementRequest | None = StatementRequest()
    while request is not None:
        page = await statements.page(request)
        if page.outcome != "stated":
            raise Refused(f"the exchange gives no statement ({page.code}): repeat this")
        ours = [one for one in page.orders if is_order_id(one.client_order_id)]
        rows = await orders_by_id(pool, [one.client_order_id for one in ours])
        for stated in ours:
            row = rows.get(stated.client_order_id)
            if row is None:
                history.lost.append(stated)
            elif not row.is_settled or any(one.feed_seq > settled_seq for one in stated.reports):
                history.behind.append((row, stated))
        history.orders += len(page.orders)
        history.foreign += len(page.orders) - len(ours)
        request = None
        if page.next_after is not None:
            request = StatementRequest(sequence=page.sequence, after=page.next_after)
            tell(f"orders of the exchange compared: {history.orders}")
    return history


@dataclass(slots=True)
class _User:
    """What is to be replayed of one user."""

    lost: list[StatedOrder] = field(default_factory=list)
    behind: list[StatedOrder] = field(default_factory=list)


class Replay:
    """Writes a history down; a repeat changes nothing."""

    def __init__(self, restoring: RestoringActivities, settled_seq: int) -> None:
        self._restoring = restoring
        self._settled_seq = settled_seq
        self.restored = 0
        self.reports = 0

    async def run(self, history: History, owners: Mapping[str, str]) -> None:
        """Replay it; `owners` names the user of each lost order that has one, by the order's id.

        Raises `DatabaseUnavailable`.
        """
        users: dict[str, _User] = {}
        for stated in history.lost:
            if stated.client_order_id in owners:
                owner = owners[stated.client_order_id]
                users.setdefault(owner, _User()).lost.append(stated)
        for row, stated in history.behind:
            users.setdefault(row.user_id, _User()).behind.append(stated)
        slots = asyncio.Semaphore(USERS_MAX)

        async def replay(user_id: str, user: _User) -> None:
            async with slots:
                await self._user(user_id, user)

        async with asyncio.TaskGroup() as tasks:
            for user_id, user in users.items():
                tasks.create_task(replay(user_id, user))

    async def _user(self, user_id: str, user: _User) -> None:
        for stated in user.behind:
            # First: what has left the book since holds nothing any more.
            await self._restoring.take_over(user_id, stated)
        lost = deque(sorted(user.lost, key=lambda one: one.placed_at_ms))
        reports = sorted(
            (report.feed_seq, report.at_ms, stated.client_order_id, report)
            for stated in (*user.lost, *user.behind)
            for report in stated.reports
            if report.feed_seq > self._settled_seq
        )
        absent = {stated.client_order_id for stated in lost}
        for _, at_ms, order_id, report in reports:
            while order_id in absent or (lost and lost[0].placed_at_ms < at_ms):
                absent.discard(await self._restore(user_id, lost.popleft()))
            await self._restoring.book(user_id, order_id, report)
            self.reports += 1
        for stated in lost:
            await self._restore(user_id, stated)

    async def _restore(self, user_id: str, stated: StatedOrder) -> str:
        if await self._restoring.take_over(user_id, stated):
            self.restored += 1
        return stated.client_order_id


def waiting_for_an_account(
    lost: Sequence[StatedOrder], owners: Mapping[str, str]
) -> list[StatedOrder]:
    """The lost orders whose user has no account here."""
    return [stated for stated in lost if stated.client_order_id not in owners]
