"""Two writers that read the same version of an order, on a real Postgres: exactly one wins.

The user's lock keeps them apart in daily life. Here it is passed by, as by a defect, so that only
the version stands between them; both wait for each other before they write.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

import asyncpg
import pytest

from brokerage.contracts.commands import OrderKey, SettleRequest
from brokerage.contracts.events import ExecutionReport
from brokerage.contracts.placements import new_order
from brokerage.domain import booking
from brokerage.domain.booking import Change, books_after
from brokerage.domain.corrections import Amendment, amend
from brokerage.domain.errors import InvariantBroken
from brokerage.domain.ledger import allocate
from brokerage.domain.orders import Order, OrderStatus
from brokerage.storage.pool import connection
from brokerage.storage.writes import OpenBooks
from tests.support.books import Books, external_id
from tests.support.orders import NOON, a_correction, a_fill

S = OrderStatus
Decision = Callable[[Order, booking.Books, str], Change]


@dataclass(frozen=True)
class Kind:
    """One kind of change; `decide` also takes a name that tells the two writers apart."""

    before: OrderStatus
    decide: Decision


def amended(order: Order, read: booking.Books, name: str, shares: int) -> Change:
    """What becomes of the four shares that `brought_to` had executed."""
    standing = allocate(order.side, 4, 4, 19_990, order.price_cents)
    amendment = Amendment(name, f"{order.external_order_id}-1", shares, 19_980 if shares else 0)
    return amend(order, read, standing, amendment, NOON)


KINDS: Final = {
    "acknowledge": Kind(S.PENDING, lambda o, b, name: booking.acknowledge(o, b, name, NOON)),
    "refuse": Kind(S.PENDING, lambda o, b, name: booking.refuse(o, b, "halted", NOON)),
    "fail": Kind(S.PENDING, lambda o, b, name: booking.fail(o, b, NOON)),
    "request-cancel": Kind(S.SUBMITTED, lambda o, b, name: booking.request_cancel(o, b, NOON)),
    "refuse-cancel": Kind(
        S.PENDING_CANCEL, lambda o, b, name: booking.refuse_cancel(o, b, "trading", NOON)
    ),
    "end": Kind(
        S.SUBMITTED, lambda o, b, name: booking.end(o, b, S.EXPIRED, 0, "the day ended", NOON)
    ),
    "ending": Kind(
        S.PENDING_CANCEL, lambda o, b, name: booking.end(o, b, S.CANCELLED, 4, "", NOON)
    ),
    "settle": Kind(S.SUBMITTED, lambda o, b, name: booking.settle(o, b, name, 4, 19_990, NOON)),
    "fill": Kind(S.SUBMITTED, lambda o, b, name: booking.settle(o, b, name, 10, 19_990, NOON)),
    "bust": Kind(S.PARTIALLY_FILLED, lambda o, b, name: amended(o, b, name, 0)),
    "correction": Kind(S.PARTIALLY_FILLED, lambda o, b, name: amended(o, b, name, 3)),
}


@dataclass(frozen=True)
class Attempt:
    """What one of two writers wants to write, and how that ended."""

    name: str
    change: Change
    error: Exception | None


async def write_at_once(
    books: Books, read: booking.Books, order: Order | None, changes: dict[str, Change], **how: Any
) -> list[Attempt]:
    """Write each change over the same read, from connections of their own, at the same moment."""
    ready = asyncio.Barrier(len(changes))

    async def write(name: str, change: Change) -> Attempt:
        report = _report(name, change)
        try:
            async with connection(books.pool) as database, database.transaction():
                opened = OpenBooks(database, read, order, frozenset())
                await ready.wait()
                await opened.store(change, actor=name, report=report, **how)
        except (InvariantBroken, asyncpg.UniqueViolationError) as error:
            return Attempt(name, change, error)
        return Attempt(name, change, None)

    async with asyncio.TaskGroup() as writers:
        tasks = [writers.create_task(write(name, change)) for name, change in changes.items()]
    return [task.result() for task in tasks]


def _report(name: str, change: Change) -> ExecutionReport | None:
    shares = change.booked.executed_shares
    if change.kind in ("bust", "correction"):
        return a_correction(name, str(change.detail["executionId"]), shares, 19_980, external=name)
    return a_fill(name, shares, 19_990, external=name) if shares else None


async def written_by(books: Books, order_id: str, name: str) -> int:
    """How many rows there are that only this writer could have written."""
    found: int = await books.pool.fetchval(
        "SELECT (SELECT count(*) FROM order_events WHERE user_id = $1 AND order_id = $2"
        "          AND actor = $3)"
        "     + (SELECT count(*) FROM external_orders WHERE external_order_id = $3)"
        "     + (SELECT count(*) FROM execution_reports WHERE report_id = $3)"
        "     + (SELECT count(*) FROM ledger_entries WHERE user_id = $1 AND source = $3)",
        books.user_id,
        order_id,
        name,
    )
    return found


async def brought_to(books: Books, status: OrderStatus) -> OrderKey:
    """An order of the user's that has this status."""
    if status is S.PENDING:
        return await books.reserved()
    external = external_id()
    key = await books.submitted(external)
    if status is S.PARTIALLY_FILLED:
        fill = a_fill(f"{external}-1", 4, 19_990, external=external)
        await books.orders.settle(SettleRequest(key.order_id, key.user_id, [fill]))
    if status is S.PENDING_CANCEL:
        async with books.writer.transaction(key.user_id, key.order_id, trace={}) as opened:
            assert opened.order is not None
            change = booking.request_cancel(opened.order, opened.books, NOON)
            await opened.store(change, actor=key.user_id)
    return key


async def read(books: Books, key: OrderKey) -> tuple[Order, booking.Books]:
    """The order and the books as a transaction finds them."""
    async with books.writer.transaction(key.user_id, key.order_id, trace={}) as opened:
        assert opened.order is not None
        return opened.order, opened.books


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
async def test_of_two_writers_of_one_version_one_wins_and_nothing_of_the_other_is_kept(
    books: Books, kind: Kind
) -> None:
    await books.reserved()  # what it holds is there to be freed twice, were it not for the version
    key = await brought_to(books, kind.before)
    order, before = await read(books, key)
    names = [external_id(), external_id()]
    changes = {name: kind.decide(order, before, name) for name in names}

    attempts = await write_at_once(books, before, order, changes)

    won = [attempt for attempt in attempts if attempt.error is None]
    lost = [attempt for attempt in attempts if attempt.error is not None]
    assert len(won) == 1, attempts
    if kind is not KINDS["acknowledge"]:  # there, the mapping's own key may refuse it before
        assert f"not at version {order.version}" in str(lost[0].error)
    stored, after = await read(books, key)
    assert stored == won[0].change.order
    assert after == books_after(before, won[0].change)
    assert await written_by(books, key.order_id, won[0].name) > 0
    assert await written_by(books, key.order_id, lost[0].name) == 0


async def test_of_two_writers_of_one_new_order_one_wins(books: Books) -> None:
    start = await books.claim()
    async with books.writer.transaction(
        start.user_id, start.order_id, start.symbol, trace={}
    ) as opened:
        before = opened.books
    change = booking.place(new_order(start), before)
    names = [uuid4().hex, uuid4().hex]

    attempts = await write_at_once(
        books, before, None, dict.fromkeys(names, change), idempotency_key=start.idempotency_key
    )

    won = [attempt for attempt in attempts if attempt.error is None]
    lost = [attempt for attempt in attempts if attempt.error is not None]
    assert len(won) == 1, attempts
    assert isinstance(lost[0].error, asyncpg.UniqueViolationError)
    stored, after = await read(books, OrderKey(start.order_id, start.user_id))
    assert stored == change.order
    assert after == books_after(before, change)
    assert await written_by(books, start.order_id, lost[0].name) == 0
