"""One byte, one row more or less, two rows exchanged: the trail of an order names the row."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

import asyncpg
import pytest
from temporalio.exceptions import ApplicationError

from brokerage.contracts.commands import CancelRequested, OrderKey, SettleRequest
from brokerage.contracts.gateway import GatewayReply
from brokerage.domain.trail import (
    ACTS,
    COLUMNS,
    ENTRIES,
    EVENTS,
    NOTES,
    ORDERS,
    REPORTS,
    Row,
    Tampered,
    seal,
    tampered_rows,
)
from brokerage.storage import operations
from brokerage.storage.operations import Authority, Limit
from brokerage.storage.statements import NOTES_MAX
from brokerage.storage.trail_reads import order_trail, tampered_anywhere, trails_of
from devstack.stack import DevStack
from tests.support.books import Books, audited_books, external_id, until_done
from tests.support.orders import a_bust, a_fill, an_end
from tests.support.own_database import own_database
from tests.support.tampering import opened_to_tamper

TABLES: Final = (EVENTS, NOTES, REPORTS, ENTRIES)
ANOTHER: Final = {
    "bigint": "coalesce({0}, 0) # 64",
    "integer": "coalesce({0}, 0) # 64",
    "smallint": "coalesce({0}, 0) # 64",
    "text": "coalesce({0}, '') || 'x'",
    "uuid": "gen_random_uuid()",
    "jsonb": "jsonb_set({0}, '{{x}}', '1')",
    "bytea": "CASE WHEN {0} IS NULL THEN '\\x00' ELSE set_byte({0}, 7, get_byte({0}, 7) # 1) END",
    "timestamp with time zone": "{0} + interval '1 microsecond'",
}
"""The smallest change of a value of each type."""


@pytest.fixture
async def books(servers: DevStack) -> AsyncIterator[Books]:
    async with audited_books(servers.env["SHERWOOD_DATABASE_URL"]) as books:
        yield books


async def a_life(books: Books) -> OrderKey:
    """An order that was filled in part, not cancelled at once, cancelled, busted."""
    external = external_id()
    key = await books.submitted(external)

    async def told(*reports: Any) -> None:
        await books.orders.settle(SettleRequest(key.order_id, key.user_id, list(reports)))

    await told(a_fill(f"{external}-1", 4, 19_990, external=external))
    wish = CancelRequested(key.order_id, key.user_id, key.user_id, "192.0.2.1")
    await books.orders.request_cancel(wish)
    books.gateway.replies.append(GatewayReply("unknown", code="timeout"))
    with pytest.raises(ApplicationError):
        await books.exchange.send_cancel(key)
    end = an_end("cancelled", 4, feed_seq=2, external=external)
    await told(end)
    await told(an_end("cancelled", 4, feed_seq=3, external=f"{external}-again"))
    await told(a_bust(f"b-{external}", f"{external}-1", feed_seq=4, external=external))
    return key


class Tampering:
    """The rows of one order, in a transaction that may do anything to them."""

    def __init__(self, database: Any, key: OrderKey) -> None:
        self.database = database
        self._key = key

    async def found(self) -> set[tuple[str, str, str]]:
        """What the verifier names of the order as it is now."""
        (trail,) = await trails_of(self.database, [self._key.user_id], [self._key.order_id])
        return {(one.table, one.row, one.problem) for one in tampered_rows(trail)}

    async def rows(self, table: str) -> list[Row]:
        order = {ENTRIES: "source, leg", REPORTS: "report_id"}.get(table, "link")
        found = await self.database.fetch(
            f"SELECT * FROM {table} WHERE order_id = $1 ORDER BY {order}", self._key.order_id
        )
        return [dict(row) for row in found]

    async def remove(self, table: str, row: Row) -> None:
        await self.database.execute(f"DELETE FROM {table} WHERE {where(table, row)}")

    async def put_in(self, table: str, row: Row, **changed: Any) -> None:
        """Write a row anew, with other values."""
        values = {**row, **changed}
        if table == EVENTS:
            del values["symbol"]  # generated
        columns = ", ".join(f'"{column}"' for column in values)
        numbers = ", ".join(f"${number}" for number, _ in enumerate(values, start=1))
        await self.database.execute(
            f"INSERT INTO {table} ({columns}) VALUES ({numbers})", *values.values()
        )


@asynccontextmanager
async def tampering(books: Books, key: OrderKey) -> AsyncIterator[Tampering]:
    """The same, for the rows of one order, with no check of the tables in the way."""
    async with opened_to_tamper(books) as database:
        checks = await database.fetch(
            "SELECT conrelid::regclass::text AS table, conname FROM pg_constraint "
            "WHERE contype = 'c' AND coninhcount = 0 AND conrelid = ANY ($1::regclass[])",
            [*TABLES, ORDERS],
        )
        for table, check in checks:
            await database.execute(f'ALTER TABLE {table} DROP CONSTRAINT "{check}"')
        yield Tampering(database, key)


async def columns_of(books: Books, table: str) -> dict[str, str]:
    """The columns of a table that can be written, and their types."""
    rows = await books.pool.fetch(
        "SELECT column_name, data_type FROM information_schema.columns "
        "WHERE table_name = $1 AND is_generated = 'NEVER'",
        table,
    )
    return {row["column_name"]: row["data_type"] for row in rows}


def where(table: str, row: Row) -> str:
    if table == ENTRIES:
        return f"source = '{row['source']}' AND leg = {row['leg']}"
    if table == REPORTS:
        return f"report_id = '{row['report_id']}'"
    return f"order_id = '{row['order_id']}' AND link = {row['link']}"


def name(table: str, row: Row) -> str:
    if table == ENTRIES:
        return f"{row['source']} leg {row['leg']}"
    if table == REPORTS:
        return str(row["report_id"])
    return f"{row['order_id']} link {row['link']}"


def kinds(links: Sequence[Row]) -> list[str]:
    """What happened, in the chain's order: Postgres gives rows as they lie."""
    return [row["kind"] for row in sorted(links, key=lambda row: row["link"])]


async def test_a_trail_that_nobody_touched_is_whole(books: Books) -> None:
    key = await a_life(books)

    trail = await order_trail(books.pool, key.order_id)

    assert trail is not None
    assert kinds(trail.events) == [
        *("placed", "submitted", "fill", "cancel-requested", "cancelled", "bust")
    ]
    assert kinds(trail.notes) == ["attempt", "report"]
    assert len(trail.entries) == 8
    assert tampered_rows(trail) == []


@pytest.mark.parametrize("table", TABLES)
async def test_one_byte_changed_in_any_column_names_that_row(books: Books, table: str) -> None:
    key = await a_life(books)
    types = await columns_of(books, table)
    assert set(types) - {"hash"} == set(COLUMNS[table]) - {"previous"}

    for column, kind in types.items():
        async with tampering(books, key) as opened:
            rows = await opened.rows(table)
        for row in (rows[0], rows[-1]):
            async with tampering(books, key) as opened:
                value = ANOTHER[kind].format(f'"{column}"')
                after = await opened.database.fetchrow(
                    f'UPDATE {table} SET "{column}" = {value} WHERE {where(table, row)} RETURNING *'
                )

                named = {(of, row) for of, row, _ in await opened.found()}

            assert named, f"{column} of {name(table, row)}"
            assert named <= {(table, name(table, row)), (table, name(table, after))}, column


@pytest.mark.parametrize("table", TABLES)
async def test_a_row_that_was_removed_is_named(books: Books, table: str) -> None:
    key = await a_life(books)
    async with tampering(books, key) as opened:
        rows = await opened.rows(table)
    for row in rows:
        async with tampering(books, key) as opened:
            await opened.remove(table, row)

            found = await opened.found()

        assert found == {(table, name(table, row), "missing")}


@pytest.mark.parametrize("table", TABLES)
async def test_a_row_that_was_put_in_is_named(books: Books, table: str) -> None:
    key = await a_life(books)
    of_key, new = {ENTRIES: ("leg", 9), REPORTS: ("report_id", "forged")}.get(table, ("link", 9))
    async with tampering(books, key) as opened:
        last = (await opened.rows(table))[-1]
        others = {"seq": 99, "step": "forged", "version": 9} if table == EVENTS else {}
        await opened.put_in(table, last, **{of_key: new, **others})

        found = await opened.found()

    assert found == {(table, name(table, {**last, of_key: new}), "inserted")}


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        (EVENTS, ("link", "seq", "version", "step")),
        (NOTES, ("link",)),
        (REPORTS, ("report_id",)),
        (ENTRIES, ("leg",)),
    ],
)
async def test_two_rows_that_changed_places_are_both_named(
    books: Books, table: str, columns: tuple[str, ...]
) -> None:
    key = await a_life(books)
    async with tampering(books, key) as opened:
        first, second, *_ = await opened.rows(table)
        for row in (first, second):
            await opened.remove(table, row)
        for row, other in ((first, second), (second, first)):
            await opened.put_in(table, row, **{column: other[column] for column in columns})

        found = await opened.found()

    assert found == {(table, name(table, row), "changed") for row in (first, second)}


@pytest.mark.parametrize(
    "change",
    [
        "links = links + 1",
        "links = links - 1",
        "trail_hash = set_byte(trail_hash, 9, get_byte(trail_hash, 9) # 1)",
        "filled_shares = filled_shares + 1",
        "reason = 'another'",
        "version = version + 1",
    ],
)
async def test_a_change_of_the_order_itself_is_named(books: Books, change: str) -> None:
    key = await a_life(books)
    async with tampering(books, key) as opened:
        await opened.database.execute(
            f"UPDATE orders SET {change} WHERE order_id = $1", key.order_id
        )

        found = await opened.found()

    assert found == {(ORDERS, key.order_id, "changed")}


async def test_a_link_written_anew_with_a_hash_of_its_own_breaks_the_next(books: Books) -> None:
    key = await a_life(books)
    async with tampering(books, key) as opened:
        first, second, *_ = await opened.rows(EVENTS)
        forged = {**first, "actor": "mallory"}
        await opened.database.execute(
            "UPDATE order_events SET actor = 'mallory', hash = $2 WHERE order_id = $1 AND link = 1",
            key.order_id,
            seal(EVENTS, forged, None),
        )

        found = await opened.found()

    assert found == {(EVENTS, name(EVENTS, second), "changed")}


@pytest.mark.parametrize("table", [*TABLES, ACTS])
async def test_nothing_of_a_trail_can_be_changed_or_removed(books: Books, table: str) -> None:
    await a_life(books)
    by = Authority("olga", "192.0.2.7", "to see")
    await operations.set_limit(books.pool, Limit("order-shares", books.user_id, 7), by)

    for statement in (f"DELETE FROM {table}", f"UPDATE {table} SET order_id = order_id"):
        statement = statement.replace("order_id", "act" if table == ACTS else "order_id")
        with pytest.raises(asyncpg.RaiseError, match="append only"):
            await books.pool.execute(statement)


async def test_attempts_are_kept_up_to_a_number_and_reports_always(books: Books) -> None:
    external = external_id()
    key = await books.submitted(external)
    order = await books.order(key)
    for _ in range(NOTES_MAX + 3):
        await books.writer.note_attempt(order, actor="exchange", trace={})
    end = an_end("cancelled", 0, feed_seq=2, external=external)
    again = an_end("cancelled", 0, feed_seq=3, external=f"{external}-again")
    await books.orders.settle(SettleRequest(key.order_id, key.user_id, [end, again]))

    trail = await order_trail(books.pool, key.order_id)

    assert trail is not None
    assert len(trail.notes) == NOTES_MAX + 1
    assert tampered_rows(trail) == []


async def test_attempts_and_changes_at_once_make_one_chain(books: Books) -> None:
    external = external_id()
    key = await books.submitted(external, shares=10)
    order = await books.order(key)
    fills = [a_fill(f"{external}-{n}", 1, 19_990, feed_seq=n, external=external) for n in range(8)]

    async with asyncio.TaskGroup() as tasks:
        for fill in fills:
            settle = SettleRequest(key.order_id, key.user_id, [fill])
            tasks.create_task(until_done(partial(books.orders.settle, settle)))
            tasks.create_task(books.writer.note_attempt(order, actor="exchange", trace={}))

    trail = await order_trail(books.pool, key.order_id)
    assert trail is not None
    assert len(trail.events) == 2 + len(fills)
    # An attempt that Postgres was too busy to note has none.
    assert 1 <= len(trail.notes) <= len(fills)
    assert len(trail.events) + len(trail.notes) == trail.order["links"]
    assert tampered_rows(trail) == []


async def test_what_is_from_before_the_chain_is_passed_over(books: Books) -> None:
    key = await a_life(books)
    async with tampering(books, key) as opened:
        await opened.database.execute(
            "UPDATE order_events SET link = NULL, hash = NULL WHERE order_id = $1", key.order_id
        )
        await opened.database.execute("DELETE FROM order_notes WHERE order_id = $1", key.order_id)
        await opened.database.execute(
            "UPDATE orders SET links = 0, trail_hash = NULL WHERE order_id = $1", key.order_id
        )

        assert await opened.found() == set()


async def test_an_event_of_a_chain_cannot_pass_for_one_from_before(books: Books) -> None:
    key = await a_life(books)
    async with tampering(books, key) as opened:
        await opened.database.execute(
            "UPDATE order_events SET link = NULL, hash = NULL WHERE order_id = $1 AND link = 2",
            key.order_id,
        )

        assert (EVENTS, f"{key.order_id} link 2", "missing") in await opened.found()


async def test_all_orders_are_verified_in_batches(servers: DevStack) -> None:
    async with (
        own_database(servers.env["SHERWOOD_DATABASE_URL"]) as url,
        audited_books(url) as books,
    ):
        keys = [await a_life(books) for _ in range(3)]
        assert await tampered_anywhere(books.pool, batch=2) == []
        async with books.pool.acquire() as database, database.transaction():
            await database.execute("SET LOCAL session_replication_role = replica")
            await database.execute(
                "UPDATE order_events SET address = 'x' WHERE order_id = $1 AND link = 1",
                keys[1].order_id,
            )

        found = await tampered_anywhere(books.pool, batch=2)

    assert found == [Tampered(EVENTS, f"{keys[1].order_id} link 1", "changed")]
