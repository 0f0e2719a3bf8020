"""The EventSource of npm comes back by itself after its node was killed, and misses nothing."""

import asyncio
import json

import asyncpg
import pytest

from devstack.stack import DevStack
from tests.foreign.clients import HERE, child, installed
from tests.support.accounts import account
from tests.support.eventually import eventually
from tests.support.order_follower import PATH
from tests.support.order_log_checker import Heard, rows_of, violations
from tests.support.price_watch import killed
from tests.support.programs import CannotRun, found
from tests.support.trading import RESTING, placed


async def test_event_source_goes_on_after_the_last_event_it_heard(stack: DevStack) -> None:
    try:
        node = found("node")
        await installed(found("npm"))
    except CannotRun as reason:
        pytest.skip(str(reason))
    heard: list[Heard] = []
    kinds: list[str] = []

    async with account(stack.api_url) as alice:
        script, url = str(HERE / "follow_orders.js"), f"{stack.api_url}{PATH}"

        async def follow() -> None:
            async with child(node, script, url, alice.token) as output:
                async for line in output:
                    event = json.loads(line)
                    kinds.append(event["kind"])
                    if event["kind"] == "order":
                        heard.append(Heard(int(event["id"]), event["data"]))

        async with asyncio.TaskGroup() as tasks:
            following = tasks.create_task(follow())
            await placed(alice, RESTING)
            await eventually(lambda: len(heard) >= 2, "the order is heard of", 60.0)
            await killed(stack, "api")
            await placed(alice, RESTING)
            await eventually(lambda: len(heard) >= 4, "the next one too", 60.0)
            following.cancel()
        database = await asyncpg.connect(stack.env["SHERWOOD_DATABASE_URL"])
        log = await rows_of(database, alice.user)
        await database.close()

    assert violations("npm eventsource", heard, log) == []
    assert "lost" in kinds
    assert kinds.count("hello") >= 2
