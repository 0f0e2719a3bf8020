"""Bars lie in partitions by time: made before they are needed, dropped when they are old."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from devstack.stack import DevStack
from tests.support.own_database import own_database

NOW = datetime(2030, 3, 6, 13, 30, tzinfo=UTC)


@pytest.fixture
async def url(servers: DevStack) -> AsyncIterator[str]:
    """A migrated database that nobody else uses."""
    async with own_database(servers.env["SHERWOOD_DATABASE_URL"]) as url:
        yield url


@pytest.fixture
async def database(url: str) -> AsyncIterator["asyncpg.Connection[Any]"]:
    """A connection to it."""
    connection = await asyncpg.connect(url)
    yield connection
    await connection.close()


async def partitions(database: "asyncpg.Connection[Any]", table: str) -> set[str]:
    """The names of the table's partitions."""
    rows = await database.fetch(
        "SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid "
        "WHERE inhparent = $1::text::regclass",
        table,
    )
    return {row["relname"] for row in rows}


async def make(database: "asyncpg.Connection[Any]", *starts: datetime) -> list[str]:
    """Make the partitions for bars that begin then; those that were not there yet."""
    rows = await database.fetch("SELECT make_bar_partitions($1) AS name", list(starts))
    return [row["name"] for row in rows]


async def drop(database: "asyncpg.Connection[Any]", now: datetime) -> set[str]:
    """Drop what is old as of `now`."""
    rows = await database.fetch("SELECT drop_bar_partitions($1) AS name", now)
    return {row["name"] for row in rows}


async def put(database: "asyncpg.Connection[Any]", table: str, start: datetime) -> None:
    """Write one bar."""
    await database.execute(
        f"INSERT INTO {table} VALUES ('IBM', $1, 100, 120, 90, 110, 10, 1_000, 2)", start
    )


async def test_new_schema_takes_bars_of_now(database: "asyncpg.Connection[Any]") -> None:
    for table in ("bars_1s", "bars_1m", "bars_1d"):
        await put(database, table, datetime.now(UTC))


async def test_partitions_are_made_for_each_time_and_for_what_follows_it(
    database: "asyncpg.Connection[Any]",
) -> None:
    made = await make(database, NOW, NOW + timedelta(seconds=1))

    assert set(made) == {
        "bars_1s_p20300306t12",
        "bars_1s_p20300306t18",
        "bars_1m_p20300304t00",
        "bars_1m_p20300311t00",
        "bars_1d_p20300101t00",
        "bars_1d_p20310101t00",
    }
    assert await make(database, NOW) == []
    for table in ("bars_1s", "bars_1m", "bars_1d"):
        assert set(made) & await partitions(database, table)
        await put(database, table, NOW)


async def test_time_zone_of_whoever_asks_moves_no_boundary(
    database: "asyncpg.Connection[Any]",
) -> None:
    # Clocks in New York go forward within this week.
    in_utc = datetime(2030, 3, 10, 6, 59, tzinfo=UTC)
    await make(database, in_utc)

    await database.execute("SET timezone = 'America/New_York'")

    assert await make(database, in_utc) == []
    assert await make(database, in_utc + timedelta(hours=6)) == ["bars_1s_p20300310t18"]


async def test_only_partitions_past_their_retention_are_dropped(
    database: "asyncpg.Connection[Any]",
) -> None:
    starts = [NOW - timedelta(days=days) for days in (400, 98, 97, 3, 2, 1, 0)]
    await make(database, *starts)

    dropped = await drop(database, NOW)

    assert await drop(database, NOW) == set()
    assert not {name for name in dropped if name.startswith("bars_1d")}
    assert {"bars_1s_p20300303t12", "bars_1s_p20300303t18"} <= dropped
    assert {"bars_1s_p20300304t12", "bars_1s_p20300306t12"} <= await partitions(database, "bars_1s")
    assert "bars_1m_p20291126t00" in dropped
    assert "bars_1m_p20291203t00" in await partitions(database, "bars_1m")
    await put(database, "bars_1d", starts[0])
    await put(database, "bars_1m", NOW - timedelta(days=89))
    await put(database, "bars_1s", NOW - timedelta(days=2))


async def test_two_that_make_and_drop_at_once_do_not_disturb_each_other(
    url: str, database: "asyncpg.Connection[Any]"
) -> None:
    starts = [NOW + timedelta(hours=6 * step) for step in range(12)]
    before = await partitions(database, "bars_1s")
    made: list[str] = []

    async def maintain() -> None:
        own = await asyncpg.connect(url)
        for start in starts:
            made.extend(await make(own, start))
            await drop(own, NOW)
        await own.close()

    async with asyncio.TaskGroup() as tasks:
        for _ in range(3):
            tasks.create_task(maintain())

    assert len(made) == len(set(made))
    assert len(await partitions(database, "bars_1s") - before) == len(starts) + 1
