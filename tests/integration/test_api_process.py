"""The API as a process: it starts before its servers, ends its streams, and stops with exit 0."""

import asyncio
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from uuid import uuid4

import httpx

from devstack.stack import DevStack
from tests.support.accounts import account
from tests.support.eventually import eventually
from tests.support.ports import free_port
from tests.support.running import running
from tests.support.trading import place, placed

NOWHERE = "127.0.0.1:1"
ORDER = {"position": "buy", "symbol": "SPY", "priceInCents": 100, "numShares": 1}
NOT_HEARD_YET = ("feed-stale", "kill-switch")
"""Why a node takes no order in its first moments, or after a pause of the machine."""


async def test_process_answers_before_any_server_does(tmp_path: Path) -> None:
    port = free_port()
    environment = {
        "SHERWOOD_API_PORT": str(port),
        "SHERWOOD_DATABASE_URL": f"postgresql://sherwood@{NOWHERE}/sherwood",
        "SHERWOOD_NATS_URL": f"nats://{NOWHERE}",
        "SHERWOOD_TEMPORAL_ADDRESS": NOWHERE,
        "SHERWOOD_ENVIRONMENT": "development",
        "SHERWOOD_TOKEN_SECRET": "a secret of this test, 32 bytes long or more",
    }
    url = f"http://127.0.0.1:{port}"
    async with (
        running(
            "api", environment=environment, ready_url=f"{url}/livez", log=tmp_path / "log"
        ) as process,
        httpx.AsyncClient(base_url=url, trust_env=False, timeout=30.0) as http,
    ):
        not_yet = await http.get("/readyz")
        refused = await http.post("/dev/token", json={"user": "alice"})

        assert not_yet.status_code == 503
        assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
        assert await process.stop() == 0, process.said()


async def test_stop_ends_streams_cleanly_and_finishes_placements(
    stack: DevStack, tmp_path: Path
) -> None:
    port = free_port()
    secret = (stack.settings.home / "token-secret").read_text().strip()
    environment = {
        **stack.env,
        "SHERWOOD_API_PORT": str(port),
        "SHERWOOD_TOKEN_SECRET": secret,
    }
    url = f"http://127.0.0.1:{port}"
    async with (
        running(
            "api", environment=environment, ready_url=f"{url}/readyz", log=tmp_path / "log"
        ) as process,
        account(url) as alice,
    ):
        await placed(alice, ORDER)
        async with alice.http.stream("POST", "/subscribe", json={"symbols": ["SPY"]}) as stream:
            lines = stream.aiter_lines()
            await anext(lines)

            exit_code = await process.stop()

            # Raises if the connection was cut instead of ended.
            rest = [line async for line in lines]

    assert rest
    assert exit_code == 0, process.said()


async def test_node_whose_bus_was_away_at_its_start_serves_once_it_is_there(
    stack: DevStack, tmp_path: Path
) -> None:
    port = free_port()
    secret = (stack.settings.home / "token-secret").read_text().strip()
    url = f"http://127.0.0.1:{port}"
    environment = {
        **stack.env,
        "SHERWOOD_API_PORT": str(port),
        "SHERWOOD_TOKEN_SECRET": secret,
    }
    async with (
        httpx.AsyncClient(base_url=url, trust_env=False, timeout=30.0) as http,
        AsyncExitStack() as node,
    ):
        await stack.stop("nats")
        try:
            await node.enter_async_context(
                running(
                    "api",
                    environment=environment,
                    ready_url=f"{url}/livez",
                    log=tmp_path / "log",
                )
            )
            await eventually(
                lambda: _parts_open(http, {"pool", "temporal"}), "others are open", 60.0
            )
        finally:
            await stack.start("nats")

        await eventually(lambda: _ready(http), "the node is ready", 60.0)


async def _parts_open(http: httpx.AsyncClient, names: set[str]) -> bool:
    parts = (await http.get("/readyz")).json()["parts"]
    return {name for name, is_open in parts.items() if is_open} == names


async def _ready(http: httpx.AsyncClient) -> bool:
    state = (await http.get("/readyz")).json()
    return bool(state["ok"]) and all(state["parts"].values())


async def test_node_without_temporal_from_its_start_refuses_orders_as_unavailable(
    stack: DevStack, tmp_path: Path
) -> None:
    port = free_port()
    environment = {
        **stack.env,
        "SHERWOOD_API_PORT": str(port),
        "SHERWOOD_TEMPORAL_ADDRESS": NOWHERE,
        "SHERWOOD_TOKEN_SECRET": (stack.settings.home / "token-secret").read_text().strip(),
    }
    url = f"http://127.0.0.1:{port}"
    async with (
        running(
            "api", environment=environment, ready_url=f"{url}/readyz", log=tmp_path / "log"
        ) as process,
        account(url, patient=True) as alice,
    ):
        key = str(uuid4())

        async def refusal() -> httpx.Response:
            answer = await place(alice, ORDER, key)
            assert answer.json()["code"] not in NOT_HEARD_YET
            return answer

        refused = await eventually(refusal, "the node has heard the feed", 60.0)
        listed = (await alice.http.get("/orders")).json()["items"]

        assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
        assert refused.headers["retry-after"] == "1"
        assert listed == []
        assert await process.stop() == 0, process.said()


async def test_node_with_enough_under_way_refuses_more_at_once(
    stack: DevStack, tmp_path: Path
) -> None:
    port = free_port()
    environment = {
        **stack.env,
        "SHERWOOD_API_PORT": str(port),
        "SHERWOOD_PLACEMENTS_MAX": "1",
        "SHERWOOD_TOKEN_SECRET": (stack.settings.home / "token-secret").read_text().strip(),
    }
    url = f"http://127.0.0.1:{port}"
    keys = [str(uuid4()) for _ in range(8)]

    async with (
        running("api", environment=environment, ready_url=f"{url}/readyz", log=tmp_path / "log"),
        account(url, patient=True) as alice,
    ):
        await placed(alice, ORDER)  # the node hears everybody
        stack.pause("temporal")
        try:
            async with asyncio.TaskGroup() as tasks:
                asked = [tasks.create_task(place(alice, ORDER, key)) for key in keys]
        finally:
            stack.resume("temporal")
        codes = [task.result().json()["code"] for task in asked]

        async def is_placed_when_repeated(key: str) -> bool:
            answer = await place(alice, ORDER, key)
            # What Temporal was told before it stood still, it may do when it is too late.
            is_late = answer.json().get("code") in ("not-sent-in-time", "not-placed")
            return answer.status_code == 201 or is_late

        for key in keys:
            await eventually(partial(is_placed_when_repeated, key), "the order is placed", 60.0)
        listed = (await alice.http.get("/orders")).json()["items"]

    assert "overloaded" in codes
    assert "unavailable" in codes
    assert len(listed) == len(keys) + 1
