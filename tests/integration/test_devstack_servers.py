"""Postgres, NATS and Temporal as the stack runs them."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.client import Client

from devstack.errors import AlreadyRunning
from devstack.probes import fetch
from devstack.process import State, SupervisedProcess
from devstack.settings import own_servers
from devstack.stack import DevStack
from tests.support.eventually import eventually


@pytest.fixture
async def own() -> AsyncIterator[DevStack]:
    async with DevStack.temporary(only=["servers"]) as stack:
        await stack.wait_ready()
        yield stack


async def query(stack: DevStack, statement: str) -> object:
    connection = await asyncpg.connect(stack.env["SHERWOOD_DATABASE_URL"])
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


def is_back(server: SupervisedProcess) -> bool:
    """Whether it is ready again; a Postgres whose predecessor's children live on tries twice."""
    return server.restarts >= 1 and server.state is State.READY


async def test_postgres_takes_our_password_and_no_other(servers: DevStack) -> None:
    assert await query(servers, "SELECT current_database()") == "sherwood"

    url = servers.env["SHERWOOD_DATABASE_URL"]
    secret = url.partition("sherwood:")[2].partition("@")[0]
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(url.replace(secret, "guess"))


async def test_postgres_does_not_return_from_a_commit_before_it_is_on_disk(
    servers: DevStack,
) -> None:
    assert await query(servers, "SHOW fsync") == "on"
    assert await query(servers, "SHOW synchronous_commit") == "on"


async def test_nats_writes_every_message_before_it_acknowledges(servers: DevStack) -> None:
    _, body = await fetch(f"http://127.0.0.1:{servers.ports['nats-monitor']}/varz")

    assert json.loads(body)["jetstream"]["config"]["sync_always"] is True


async def test_temporal_knows_the_search_attributes_of_an_order(servers: DevStack) -> None:
    client = await Client.connect(servers.env["SHERWOOD_TEMPORAL_ADDRESS"])

    known = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace="default")
    )

    assert {"UserId", "Symbol", "OrderType"} <= set(known.custom_attributes)


@pytest.mark.parametrize("name", ["postgres", "nats", "temporal"])
async def test_a_killed_server_comes_back_at_the_same_address(own: DevStack, name: str) -> None:
    server = own.processes[name]
    first, address = server.pid, server.spec.address

    own.kill(name)

    await eventually(lambda: is_back(server), f"{name} is up", 60)
    assert server.pid != first
    assert server.spec.address == address


async def test_what_was_committed_survives_a_kill(own: DevStack) -> None:
    await query(own, "CREATE TABLE kept AS SELECT 42 AS answer")
    server = own.processes["postgres"]

    own.kill("postgres")
    await eventually(lambda: is_back(server), "it is back", 60)

    assert await query(own, "SELECT answer FROM kept") == 42


async def test_a_paused_postgres_keeps_its_port_and_answers_nobody(own: DevStack) -> None:
    own.pause("postgres")
    await eventually(lambda: own.processes["postgres"].state is State.UNREADY, "it is frozen")

    own.resume("postgres")

    await eventually(lambda: own.processes["postgres"].state is State.READY, "it goes on")
    assert await query(own, "SELECT 1") == 1


async def test_a_stopped_server_stays_down_until_it_is_started(own: DevStack) -> None:
    await own.stop("nats")
    assert own.processes["nats"].state is State.STOPPED

    await own.start("nats")

    assert own.processes["nats"].was_ready.is_set()
    assert own.processes["nats"].restarts == 0


async def test_data_and_ports_survive_down_and_up(tmp_path: Path) -> None:
    settings = own_servers().model_copy(update={"home": tmp_path})
    async with DevStack(settings, only=["postgres"], auto_ports=True) as stack:
        try:
            await stack.wait_ready()
            await query(stack, "CREATE TABLE kept AS SELECT 42 AS answer")
            ports = stack.ports
            await stack.close()

            async with DevStack(settings, only=["postgres"], auto_ports=True) as again:
                await again.wait_ready()

                assert await query(again, "SELECT answer FROM kept") == 42
                assert again.ports == ports
        finally:
            stack.home.wipe()


async def test_a_home_has_one_supervisor(tmp_path: Path) -> None:
    settings = own_servers().model_copy(update={"home": tmp_path})
    async with DevStack(settings, only=["nats"], auto_ports=True):
        with pytest.raises(AlreadyRunning):
            await DevStack(settings, only=["nats"], auto_ports=True).open()


async def test_a_server_that_runs_already_is_used_and_left_alone(
    own: DevStack, tmp_path: Path
) -> None:
    settings = own_servers().model_copy(
        update={"home": tmp_path, "nats_url": own.env["SHERWOOD_NATS_URL"]}
    )

    async with DevStack(settings, only=["nats"], auto_ports=True) as guest:
        await guest.wait_ready()
        assert guest.processes["nats"].state is State.EXTERNAL
        assert guest.env["SHERWOOD_NATS_URL"] == own.env["SHERWOOD_NATS_URL"]

    assert own.processes["nats"].state is State.READY
    assert not (tmp_path / "nats").exists()
