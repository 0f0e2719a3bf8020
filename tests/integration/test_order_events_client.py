"""The Python client and the command follow the log of a real server."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from client.auth import BearerToken
from client.errors import Refused
from client.order_events import Heartbeat, OrderEvent
from client.sherwood import Sherwood
from devstack.stack import DevStack
from tests.support.accounts import Account
from tests.support.order_follower import place_resting

ROOT = Path(__file__).parents[2]


@pytest.fixture
async def sherwood(stack: DevStack, alice: Account) -> AsyncIterator[Sherwood]:
    async with Sherwood(stack.api_url, auth=BearerToken(alice.token)) as sherwood:
        yield sherwood


async def test_stream_pages_and_past_portfolio_tell_the_same_log(
    alice: Account, sherwood: Sherwood
) -> None:
    await place_resting(alice.http)
    followed: list[OrderEvent] = []
    async with aclosing(sherwood.follow_orders(after=0)) as stream:
        async for event in stream:
            if isinstance(event, OrderEvent):
                followed.append(event)
            elif isinstance(event, Heartbeat) and event.last_seq == 2:
                break
    page = await sherwood.order_events()

    assert list(page.items) == followed
    assert (page.last_seq, stream.position) == (2, 2)
    assert (await sherwood.portfolio(as_of_seq=1)).held_cash_cents == 100
    assert (await sherwood.portfolio(as_of_seq=0)).held_cash_cents == 0
    with pytest.raises(Refused) as refused:
        await sherwood.portfolio(as_of_seq=3)
    assert refused.value.extra["lastSeq"] == 2


async def test_command_prints_what_happened_and_what_happens(
    stack: DevStack, alice: Account, tmp_path: Path
) -> None:
    await place_resting(alice.http)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "client.command.cli", "events"),
        *("--after", "0", "--count", "4", "--json"),
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env={
            "SHERWOOD_API_URL": stack.api_url,
            "SHERWOOD_TOKEN": alice.token,
            "XDG_CACHE_HOME": str(tmp_path),
        },
    )
    assert process.stdout is not None
    async with asyncio.timeout(60):
        begun = json.loads(await process.stdout.readline())
        await place_resting(alice.http)
        rest = (await process.stdout.read()).splitlines()

    events = [line for line in map(json.loads, rest) if line["event"] == "order"]
    assert begun == {"event": "begun", "after": 0}
    assert [event["seq"] for event in events] == [1, 2, 3, 4]
    assert await process.wait() == 0
