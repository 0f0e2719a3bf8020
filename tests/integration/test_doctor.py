"""Each thing that `sherwood doctor` looks at is broken for real, and found."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from google.protobuf.duration_pb2 import Duration
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest

from api.package_examination import LOCK, examine_packages
from api.temporal_examination import examine_temporal, judge_version
from brokerage.bus.connection import open_bus
from brokerage.bus.examination import EXPECTED, FLUSH, examine_nats
from brokerage.bus.streams import ensure_streams
from brokerage.contracts.findings import Finding, Verdict
from brokerage.contracts.subjects import DEAD_STREAM
from brokerage.storage.examination import examine_postgres, newest_revision
from devstack.stack import DevStack
from tests.support.accounts import Account
from tests.support.eventually import eventually
from tests.support.nats_server import NatsServer
from tests.support.own_database import own_database
from tests.support.ports import free_port
from tests.support.temporal_server import temporal_server
from workflows.client import connect_temporal

Examine = Callable[[], Awaitable[Iterable[Finding]]]


def by_check(findings: Iterable[Finding]) -> dict[str, Finding]:
    """The findings by what was looked at; all that is wrong says how to mend it."""
    found = {one.check: one for one in findings}
    assert all(one.mend for one in found.values() if one.verdict is not Verdict.OK)
    return found


async def finds(
    examine: Examine, holds: Callable[[dict[str, Finding]], bool]
) -> dict[str, Finding]:
    """What is found once this holds of it: a busy machine may let an examination time out."""
    found: dict[str, Finding] = {}

    async def attempt() -> None:
        found.clear()
        found.update(by_check(await examine()))
        assert holds(found), found

    await eventually(attempt, "it was looked at", 60)
    return found


def is_reached(server: str) -> Callable[[dict[str, Finding]], bool]:
    """Whether the server answered."""
    return lambda found: found[f"{server}-reachable"].verdict is Verdict.OK


@asynccontextmanager
async def database(stack: DevStack, *statements: str) -> AsyncIterator[str]:
    """The URL of a migrated database in which these statements were run."""
    async with own_database(stack.env["SHERWOOD_DATABASE_URL"]) as url:
        connection = await asyncpg.connect(url)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()
        yield url


async def test_nothing_is_wrong_with_a_stack_that_runs(operator: Account) -> None:
    async def nothing_is_wrong() -> None:
        document = (await operator.http.get("/ops/doctor")).json()
        wrong = [one for one in document["items"] if one["verdict"] == "wrong"]
        assert wrong == []
        assert document["ok"] is True
        unknown = [one["check"] for one in document["items"] if one["verdict"] == "unknown"]
        assert unknown == ["temporal-poll-rate"]

    # A worker is seen once it has polled.
    await eventually(nothing_is_wrong, "nothing is wrong", 60)


async def test_customers_are_not_told(alice: Account) -> None:
    refused = await alice.http.get("/ops/doctor")

    assert (refused.status_code, refused.json()["code"]) == (403, "operator-only")


async def test_schema_behind_the_code_is_found_through_the_api(
    stack: DevStack, operator: Account
) -> None:
    async def is_seen() -> dict[str, Any]:
        document: dict[str, Any] = (await operator.http.get("/ops/doctor")).json()
        assert "postgres-schema" in [one["check"] for one in document["items"]], document
        return document

    database = await asyncpg.connect(stack.env["SHERWOOD_DATABASE_URL"])
    try:
        await database.execute("UPDATE alembic_version SET version_num = '0003'")
        document = await eventually(is_seen, "Postgres was looked at")
    finally:
        await database.execute("UPDATE alembic_version SET version_num = $1", newest_revision())
        await database.close()

    schema = next(one for one in document["items"] if one["check"] == "postgres-schema")
    assert document["ok"] is False
    assert schema["verdict"] == "wrong"
    assert "brokerage.storage.migrate" in schema["mend"]


async def test_database_without_our_schema_is_found(servers: DevStack) -> None:
    async with own_database(servers.env["SHERWOOD_DATABASE_URL"], migrated=False) as url:
        found = await finds(lambda: examine_postgres(url), is_reached("postgres"))

    assert found["postgres-schema"].found.startswith("revision none")


async def test_schema_of_a_newer_release_is_found(servers: DevStack) -> None:
    async with database(servers, "UPDATE alembic_version SET version_num = '9999'") as url:
        found = await finds(lambda: examine_postgres(url), is_reached("postgres"))

    assert found["postgres-schema"].verdict is Verdict.WRONG
    assert "newer" in found["postgres-schema"].found


async def test_clock_of_postgres_that_is_off_is_found(servers: DevStack) -> None:
    async with database(
        servers,
        "CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS "
        "$$ SELECT pg_catalog.clock_timestamp() + interval '1 minute' $$",
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path TO public, pg_catalog', "
        "current_database()); END $$",
    ) as url:
        found = await finds(lambda: examine_postgres(url), is_reached("postgres"))

    assert found["postgres-clock"].verdict is Verdict.WRONG
    assert "NTP" in found["postgres-clock"].mend


async def test_postgres_that_is_away_is_found() -> None:
    url = f"postgresql://sherwood@127.0.0.1:{free_port()}/sherwood"

    found = by_check(await examine_postgres(url))

    assert {check: one.verdict for check, one in found.items()} == {
        "postgres-reachable": Verdict.WRONG
    }


async def test_nats_that_flushes_late_is_found(nats: NatsServer) -> None:
    found = await finds(
        lambda: examine_nats(nats.url, nats.monitor_url),
        lambda found: found["nats-sync-interval"].mend == FLUSH,
    )

    assert found["nats-sync-interval"].verdict is Verdict.WRONG
    assert "sync_interval: always" in found["nats-sync-interval"].mend


async def test_nats_without_a_monitor_is_not_judged(nats: NatsServer) -> None:
    found = by_check(await examine_nats(nats.url, None))

    assert found["nats-sync-interval"].verdict is Verdict.UNKNOWN


async def test_streams_that_are_missing_are_named(nats: NatsServer) -> None:
    def are_listed(found: dict[str, Finding]) -> bool:
        return is_reached("nats")(found) and "not answer" not in found["nats-streams"].found

    empty = await finds(lambda: examine_nats(nats.url, None), are_listed)
    async with open_bus(nats.url, "test") as bus:
        await ensure_streams(bus)
        await bus.jetstream.delete_stream(DEAD_STREAM)
    without = await finds(lambda: examine_nats(nats.url, None), are_listed)

    assert empty["nats-streams"].found == f"missing: {', '.join(sorted(EXPECTED))}"
    assert without["nats-streams"].verdict is Verdict.WRONG
    assert DEAD_STREAM in without["nats-streams"].found
    assert "EXECUTIONS" not in without["nats-streams"].found


async def test_nats_that_was_killed_is_found(nats: NatsServer) -> None:
    await nats.kill()

    found = by_check(await examine_nats(nats.url, nats.monitor_url))

    assert {check: one.verdict for check, one in found.items()} == {
        "nats-reachable": Verdict.WRONG,
        "nats-sync-interval": Verdict.WRONG,
    }


async def test_temporal_that_is_away_is_found() -> None:
    found = by_check(await examine_temporal(f"127.0.0.1:{free_port()}", "default"))

    assert found["temporal-reachable"].verdict is Verdict.WRONG


async def test_namespace_that_is_not_there_is_found(servers: DevStack) -> None:
    address = servers.env["SHERWOOD_TEMPORAL_ADDRESS"]

    found = await finds(lambda: examine_temporal(address, "nowhere"), is_reached("temporal"))

    assert found["temporal-namespace"].verdict is Verdict.WRONG
    assert "nowhere" in found["temporal-namespace"].found


async def test_namespace_without_search_attributes_and_workers_is_found(servers: DevStack) -> None:
    address = servers.env["SHERWOOD_TEMPORAL_ADDRESS"]
    name = f"bare-{uuid4().hex[:8]}"
    client = await connect_temporal(address, "default")
    kept = Duration()
    kept.FromTimedelta(timedelta(days=1))
    await client.workflow_service.register_namespace(
        RegisterNamespaceRequest(namespace=name, workflow_execution_retention_period=kept)
    )

    async def is_found() -> None:
        # A namespace is known to every part of the server a moment after it was made.
        found = by_check(await examine_temporal(address, name))
        assert "temporal-search-attributes" in found
        assert found["temporal-search-attributes"].verdict is Verdict.WRONG
        assert "OrderStatus" in found["temporal-search-attributes"].found
        assert found["temporal-workers"].verdict is Verdict.WRONG
        assert "workers.orders" in found["temporal-workers"].mend

    await eventually(is_found, "both are found", 60)


async def test_more_partitions_than_workers_are_found() -> None:
    partitions = {
        "matching.numTaskqueueReadPartitions": 4,
        "matching.numTaskqueueWritePartitions": 4,
    }
    async with temporal_server(partitions) as address:

        async def are_found() -> None:
            found = by_check(await examine_temporal(address, "default"))
            assert "temporal-partitions" in found
            assert found["temporal-partitions"].found == "partitions: 4, workers: 0"
            assert found["temporal-partitions"].verdict is Verdict.WRONG

        await eventually(are_found, "they are found", 60)


@pytest.mark.parametrize(
    ("version", "verdict"),
    [("1.31.0", Verdict.OK), ("2.0", Verdict.OK), ("1.30.9", Verdict.WRONG), ("", Verdict.WRONG)],
)
def test_server_older_than_what_we_need_is_found(version: str, verdict: Verdict) -> None:
    assert judge_version(version).verdict is verdict


def test_package_that_is_not_as_locked_is_named(tmp_path: Path) -> None:
    lock = tmp_path / "runtime.txt"
    lock.write_text(
        "asyncpg==0.0.1 \\\n    --hash=sha256:00\nno-such-package==1.0 \\\n"
        "elsewhere-only==1.0 ; sys_platform == 'win32' \\\n"
    )

    found = examine_packages(lock)

    assert found.verdict is Verdict.WRONG
    assert "(0.0.1)" in found.found
    assert "no-such-package is missing (1.0)" in found.found
    assert "elsewhere-only" not in found.found


def test_installed_packages_are_as_locked_here(tmp_path: Path) -> None:
    assert examine_packages(LOCK).verdict is Verdict.OK
    assert examine_packages(tmp_path / "none.txt").verdict is Verdict.UNKNOWN
