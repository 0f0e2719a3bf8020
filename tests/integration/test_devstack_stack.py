"""The whole stack: every process of Sherwood, as `make up` runs it."""

import httpx
import pytest

from devstack.process import GOOD, State
from devstack.roles import owner_among, roles_of
from devstack.stack import DevStack
from tests.support.accounts import account
from tests.support.eventually import eventually

OURS = ("exchange", "gateway", "feed-1", "feed-2", "executions", "orders-1", "api")


async def test_ready_means_that_every_symbol_has_a_price(stack: DevStack) -> None:
    async with account(stack.api_url) as user:
        symbols = (await user.http.get("/symbols")).raise_for_status().json()["items"]

    assert len(symbols) >= 100
    assert all(symbol["priceInCents"] > 0 for symbol in symbols)


@pytest.mark.parametrize("name", OURS)
async def test_every_process_answers_its_health_routes(stack: DevStack, name: str) -> None:
    address = stack.processes[name].spec.address
    async with httpx.AsyncClient(base_url=address, trust_env=False) as http:
        for route in ("/livez", "/readyz", "/metrics"):
            assert (await http.get(route)).status_code == 200, route


@pytest.mark.parametrize("name", OURS)
async def test_a_killed_process_comes_back_ready(stack: DevStack, name: str) -> None:
    process = stack.processes[name]
    restarts = process.restarts

    stack.kill(name)

    await eventually(
        lambda: process.restarts == restarts + 1 and process.state is State.READY, f"{name} is back"
    )
    await eventually(
        lambda: all(other.state in GOOD for other in stack.processes.values()), "all are well"
    )


@pytest.mark.parametrize("name", OURS)
async def test_every_process_stops_by_itself_when_asked(stack: DevStack, name: str) -> None:
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

    await eventually(one_of_each, "one owns the feed, one stands by")
    before = dict(roles)
    owner = await owner_among(stack.rows(), "feed")
    assert before[owner] == "owner"

    stack.kill(owner)

    async def swapped() -> bool:
        return await one_of_each() and roles != before

    await eventually(swapped, "the other owns the feed, the killed one stands by")
