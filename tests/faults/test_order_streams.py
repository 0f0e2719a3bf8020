"""Users trade while clients, API nodes and NATS are killed: every stream, put together over all its
connections, is the table.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

from devstack.stack import DevStack
from tests.support.accounts import Account, account
from tests.support.eventually import eventually
from tests.support.order_log_checker import Heard, Row, differing, rows_of, violations
from tests.support.order_watch import FOLLOWERS, Follower, OurClient, all_following
from tests.support.ports import free_port
from tests.support.price_watch import killed
from tests.support.running import Running, start

Database = asyncpg.Connection

USERS = 3
MORE_EVENTS = 3
PAUSE_SECONDS = 0.15
"""Between two requests of a trader: fewer than a user may send in a second."""


class Node:
    """An API node, which is killed and comes back at the same address."""

    def __init__(self, stack: DevStack, log: Path) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._environment = {
            **stack.env,
            "SHERWOOD_API_PORT": str(port),
            "SHERWOOD_TOKEN_SECRET": stack.home.secret("token-secret"),
        }
        self._log = log
        self._process: Running | None = None

    async def start(self) -> None:
        """Return when it serves."""
        self._process = await start(
            "api", environment=self._environment, ready_url=f"{self.url}/readyz", log=self._log
        )

    async def kill(self) -> None:
        """End it as a crash would."""
        if self._process is not None:
            await self._process.kill()


@asynccontextmanager
async def two_nodes(stack: DevStack, folder: Path) -> AsyncIterator[list[Node]]:
    nodes = [Node(stack, folder / f"node-{number}") for number in range(2)]
    try:
        await start_all(nodes)
        yield nodes
    finally:
        for node in nodes:
            await node.kill()


async def start_all(nodes: Sequence[Node]) -> None:
    async with asyncio.TaskGroup() as tasks:
        for node in nodes:
            tasks.create_task(node.start())


@pytest.fixture
async def database(stack: DevStack) -> AsyncIterator["Database[asyncpg.Record]"]:
    connection = await asyncpg.connect(stack.env["SHERWOOD_DATABASE_URL"])
    yield connection
    await connection.close()


async def test_streams_put_together_are_the_table_whatever_is_killed(
    stack: DevStack, database: "Database[asyncpg.Record]", tmp_path: Path
) -> None:
    over = asyncio.Event()
    async with AsyncExitStack() as accounts, two_nodes(stack, tmp_path) as nodes:
        users = [await accounts.enter_async_context(account(stack.api_url)) for _ in range(USERS)]
        urls = [node.url for node in nodes]
        followers = [kind(user, urls) for user in users for kind in FOLLOWERS]
        async with all_following(followers):
            async with asyncio.TaskGroup() as tasks:
                for user in users:
                    tasks.create_task(trade(user, random.Random(user.user), over))
                try:
                    await all_hear_more(followers)
                    for node in nodes:
                        await node.kill()
                        await node.start()
                    await all_hear_more(followers)
                    for follower in followers:
                        follower.kill()
                    await killed(stack, "nats")
                    await all_hear_more(followers)
                    for follower in followers:
                        follower.kill()
                    for node in nodes:
                        await node.kill()
                    await start_all(nodes)
                    await all_hear_more(followers)
                finally:
                    over.set()
            heard, logs = await eventually(
                lambda: compared(database, followers), "all is told", 60.0
            )

    assert all(follower.connections >= 3 for follower in followers), "one was never disturbed"
    for follower in followers:
        assert_lies_are_found(follower, heard[follower], logs[follower.user.user])


async def trade(user: Account, draw: random.Random, over: asyncio.Event) -> None:
    """Place and cancel at random; whatever the answer is, the log says what became of it."""
    placed: list[str] = []
    while not over.is_set():
        try:
            if placed and draw.random() < 0.4:
                await user.http.delete(f"/order/{placed.pop()}")
            else:
                headers = {"idempotency-key": str(uuid4())}
                answer = await user.http.post("/order", json=an_order(draw), headers=headers)
                if answer.status_code == 201:
                    placed.append(answer.json()["id"])
        except httpx.TransportError:
            pass  # its answer is lost, its event is not
        await asyncio.sleep(PAUSE_SECONDS)


def an_order(draw: random.Random) -> dict[str, Any]:
    """At the market, or so low that it rests."""
    order = {"position": "buy", "symbol": "SPY", "numShares": draw.randint(1, 5)}
    return order if draw.random() < 0.5 else order | {"priceInCents": 100}


async def all_hear_more(followers: Sequence[Follower]) -> None:
    """Return when each was told of some more events."""
    wanted = {follower: follower.last_seq + MORE_EVENTS for follower in followers}

    def deaf() -> list[str]:
        return [one.name for one, seq in wanted.items() if one.last_seq < seq]

    def all_did() -> None:
        assert not deaf(), deaf()

    await eventually(all_did, "all hear more", 120.0)


async def compared(
    database: "Database[asyncpg.Record]", followers: Sequence[Follower]
) -> tuple[dict[Follower, list[Heard]], dict[str, list[Row]]]:
    """What every follower was told, and the table's log by user, once that is the same."""
    heard = {follower: list(follower.heard) for follower in followers}
    logs = {one.user.user: await rows_of(database, one.user.user) for one in followers}
    found: list[str] = []
    for follower, events in heard.items():
        found += violations(follower.name, events, logs[follower.user.user], follower.shown)
    for user in logs:
        found += differing(
            [
                events
                for follower, events in heard.items()
                if follower.user.user == user and not isinstance(follower, OurClient)
            ]
        )
    assert not found, found[:5]
    return heard, logs


def assert_lies_are_found(follower: Follower, heard: list[Heard], log: list[Row]) -> None:
    """The check would have seen a hole, a repeat, another order and other words."""
    at = len(heard) // 2
    other = heard[at]._replace(data=heard[at].data.replace('"version":', '"version":1'))
    for lie in (
        heard[:at] + heard[at + 1 :],
        heard[: at + 1] + heard[at:],
        [*heard[:at], heard[at + 1], heard[at], *heard[at + 2 :]],
        [*heard[:at], other, *heard[at + 1 :]],
        heard[:-1],
    ):
        assert violations(follower.name, lie, log, follower.shown)
