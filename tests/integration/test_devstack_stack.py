"""The whole stack: every process of Sherwood, as `make up` runs it."""

import pytest

from devstack import probes
from devstack.errors import StackError
from devstack.process import GOOD, State
from devstack.roles import owner_among, roles_of
from devstack.stack import DevStack
from tests.support.accounts import account
from tests.support.eventually import eventually

OURS = ("exchange", "gateway", "feed-1", "feed-2", "executions", "orders-1", "api")


async def are_well(stack: DevStack) -> None:
    """Return once every process is ready: a test before this one may have ended some."""
    await eventually(
        lambda: all(process.state in GOOD for process in stack.processes.values()),
        "all are well",
        60,
    )


async def test_ready_means_that_every_symbol_has_a_price(stack: DevStack) -> None:
    await stack.wait_ready()
    async with account(stack.api_url) as user:
        symbols = (await user.http.get("/symbols")).raise_for_status().json()["items"]

    assert len(symbols) >= 100
    assert all(symbol["priceInCents"] > 0 for symbol in symbols)


@pytest.mark.parametrize("name", OURS)
async def test_every_process_answers_its_health_routes(stack: DevStack, name: str) -> None:
    address = stack.processes[name].spec.address
    for route in ("/livez", "/readyz", "/metrics"):
        await eventually(probes.http(f"{address}{route}"), f"{route} answers", 60)


@pytest.mark.parametrize("name", OURS)
async def test_a_killed_process_comes_back_ready(stack: DevStack, name: str) -> None:
    await are_well(stack)
    process = stack.processes[name]
    restarts = process.restarts

    stack.kill(name)

    await eventually(
        lambda: process.restarts > restarts and process.state is State.READY, f"{name} is back", 60
    )
    await are_well(stack)


@pytest.mark.parametrize("name", OURS)
async def test_every_process_stops_by_itself_when_asked(stack: DevStack, name: str) -> None:
    await are_well(stack)
    await stack.stop(name)
    try:
        assert stack.processes[name].last_end == "ended with exit code 0"
    finally:
        await stack.start(name)


async def test_feed_means_the_copy_that_owns_it_and_the_other_takes_over(stack: DevStack) -> None:
    roles: dict[str, str] = {}

    async def one_of_each() -> bool:
        roles.clear()
        roles.update(await roles_of(stack.rows()))
        return sorted(roles.values()) == ["owner", "standby"]

    async def the_owner() -> str:
        assert await one_of_each()
        try:
            owner = await owner_among(stack.rows(), "feed")
        except StackError as error:
            raise AssertionError("it changes hands") from error
        assert roles[owner] == "owner"
        return owner

    owner = await eventually(the_owner, "the feed is the copy that owns it", 60)
    before = dict(roles)

    stack.kill(owner)

    async def swapped() -> bool:
        return await one_of_each() and roles != before

    await eventually(swapped, "the other owns the feed, the killed one stands by", 60)
