"""Operators' acts are a chain too; and Postgres seals as the verifier does."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Final, Literal

import asyncpg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brokerage.domain.trail import ACTS, ACTS_END, COLUMNS, Tampered, digest
from brokerage.storage import operations
from brokerage.storage.operations import Authority, Limit
from brokerage.storage.statements import digest_sql
from brokerage.storage.trail_reads import verify_acts
from devstack.stack import DevStack
from tests.support.books import Books, audited_books
from tests.support.tampering import opened_to_tamper

TEXTS: Final = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
NUMBERS: Final = st.integers(-(2**63), 2**63 - 1)
MOMENTS: Final = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - they are of UTC
ANOTHER_ACT: Final = "UPDATE operator_acts SET {} WHERE act_id = $1 - 1"


@pytest.fixture
async def books(servers: DevStack) -> AsyncIterator[Books]:
    async with audited_books(servers.env["SHERWOOD_DATABASE_URL"]) as books:
        yield books


@pytest.mark.parametrize(
    ("statement", "back", "problem"),
    [
        (ANOTHER_ACT.format("reason = reason || '.'"), 1, "changed"),
        (ANOTHER_ACT.format("at = at + interval '1 microsecond'"), 1, "changed"),
        (ANOTHER_ACT.format("before = '1'"), 1, "changed"),
        (ANOTHER_ACT.format("after = NULL"), 1, "changed"),
        (ANOTHER_ACT.format("hash = set_byte(hash, 5, get_byte(hash, 5) # 1)"), 1, "changed"),
        ("DELETE FROM operator_acts WHERE act_id = $1 - 1", 1, "missing"),
        ("DELETE FROM operator_acts WHERE act_id = $1", 0, "missing"),
    ],
)
async def test_an_act_that_was_tampered_with_is_named(
    books: Books, statement: str, back: int, problem: Literal["changed", "missing"]
) -> None:
    by = Authority("olga", "192.0.2.7", 'so that "this" is seen: \t \u2028')
    for value in (7, 8, 9):
        await operations.set_limit(books.pool, Limit("order-shares", books.user_id, value), by)
    (newest, *_) = await operations.acts_page(books.pool, limit=1)
    async with opened_to_tamper(books) as database:
        assert await verify_acts(database) == []
        await database.execute(statement, newest.act_id)

        found = await verify_acts(database)

    assert found == [Tampered(ACTS, str(newest.act_id - back), problem)]


async def test_the_end_of_the_acts_that_was_set_back_is_named(books: Books) -> None:
    by = Authority("olga", "192.0.2.7", "to see")
    await operations.set_limit(books.pool, Limit("order-shares", books.user_id, 7), by)
    async with opened_to_tamper(books) as database:
        await database.execute("UPDATE operator_acts_end SET act_id = act_id - 1")

        (found,) = await verify_acts(database)

    assert (found.table, found.problem) == (ACTS_END, "changed")


@settings(max_examples=10)
@given(st.lists(st.tuples(TEXTS, NUMBERS, MOMENTS), min_size=20))
async def test_postgres_seals_whatever_it_stores_as_the_verifier_does(
    servers: DevStack, values: list[tuple[str, int, datetime]]
) -> None:
    columns = dict.fromkeys(COLUMNS[ACTS], "text") | {"act_id": "number", "at": "moment"}
    database = await asyncpg.connect(servers.env["SHERWOOD_DATABASE_URL"])
    try:
        sealed = await database.fetch(
            f"SELECT {digest_sql(ACTS, **columns)} FROM unnest($1::text[], $2::bigint[], "
            "$3::timestamptz[]) AS given (text, number, moment)",
            *(list(column) for column in zip(*values, strict=True)),
        )
    finally:
        await database.close()

    for (digest_of_postgres,), (text, number, moment) in zip(sealed, values, strict=True):
        row = dict.fromkeys(columns, text) | {"act_id": number, "at": moment}
        assert digest_of_postgres == digest(ACTS, row)
