"""A server that everybody shares is away: nobody leaves for it, and all serve again after it."""

import re

import httpx
import pytest

from devstack.services import SERVERS
from devstack.stack import DevStack
from tests.support.accounts import Account
from tests.support.away import away
from tests.support.eventually import eventually
from tests.support.metrics import exported
from tests.support.trading import MARKET, ended, place, placed

OURS = ("api", "orders-1", "gateway", "feed-1", "feed-2", "executions")
SEEN = {
    "postgres": r"^sherwood_database_unavailable_total\{.*\} [1-9]",
    "nats": r"^sherwood_hub_feed_live 0",
    "temporal": r"^temporal_(long_)?request_failure_total\{.*\} [1-9]",
}
"""How an API node shows that it noticed; by then every process had to do with it."""


async def statuses(stack: DevStack) -> dict[str, int]:
    """What each process answers to `/readyz`."""
    found = {}
    async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
        for name in OURS:
            address = stack.processes[name].spec.address
            found[name] = (await http.get(f"{address}/readyz")).status_code
    return found


@pytest.mark.parametrize("server", SERVERS)
async def test_a_server_that_is_away_turns_nobody_unready(
    stack: DevStack, alice: Account, server: str
) -> None:
    await placed(alice, MARKET)

    async def all_serve() -> None:
        assert await statuses(stack) == dict.fromkeys(OURS, 200)

    await eventually(all_serve, "all serve", 60)

    async with away(stack, server):

        async def noticed() -> None:
            await place(alice, MARKET)
            assert re.search(SEEN[server], await exported(stack, "api"), re.MULTILINE)

        await eventually(noticed, f"the API has noticed that {server} is away", 60)
        assert await statuses(stack) == dict.fromkeys(OURS, 200)
    order = await placed(alice, MARKET)
    await ended(alice, order["id"], "filled")
