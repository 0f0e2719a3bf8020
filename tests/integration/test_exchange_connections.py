"""However many order workers there are, the exchange sees one gateway and one feed."""

import asyncio
import re

import httpx

from devstack.stack import DevStack
from tests.support.accounts import account
from tests.support.metrics import exported
from tests.support.trading import MARKET, placed

USERS = 40
ORDER_CONNECTIONS, FEED_CONNECTIONS = 2, 1


async def test_orders_at_once_need_no_more_connections_with_more_workers() -> None:
    async with DevStack.temporary(workers=4) as stack:
        await stack.wait_ready()

        async with asyncio.TaskGroup() as users:
            for _ in range(USERS):
                users.create_task(_place(stack.api_url))

        broken = await _unanswered(stack)
        async with httpx.AsyncClient(base_url=stack.exchange_url, trust_env=False) as http:
            status = (await http.get("/v1/status")).raise_for_status().json()
    sherwood = status["members"]["sherwood"]
    assert sherwood["orders"] == USERS
    assert sherwood["connectionsMax"] <= ORDER_CONNECTIONS + FEED_CONNECTIONS + broken
    assert sherwood["openFeedConnections"] == FEED_CONNECTIONS


async def _unanswered(stack: DevStack) -> int:
    """How many calls the exchange was too slow for: their connections are replaced, and the old
    ones may be closed there later than the new ones are open.
    """
    calls = re.findall(
        r'^sherwood_gateway_exchange_calls_total{.*result="(?:timeout|error)"} (\S+)$',
        await exported(stack, "gateway"),
        re.MULTILINE,
    )
    return int(sum(map(float, calls)))


async def _place(api_url: str) -> None:
    async with account(api_url) as user:
        await placed(user, MARKET)
