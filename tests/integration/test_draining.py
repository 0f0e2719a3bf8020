"""Processes that are told to stop while something is under way: it ends well.

The feed's hand-over, the gateway's and the exchange's last answers have tests of their own.
"""

import asyncio
import os
import re
import signal
import socket
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from brokerage.contracts.ids import order_id_for
from devstack.stack import DevStack
from tests.support.accounts import Account, account
from tests.support.api_node import api_node
from tests.support.eventually import eventually
from tests.support.exchange_rules import control, exchange_of, rule, struck
from tests.support.order_follower import following, place_resting
from tests.support.trading import at_database

RESTING = {"position": "buy", "symbol": "SPY", "priceInCents": 100, "numShares": 1}
CUT = "timeout graceful shutdown exceeded"
"""What uvicorn says when it gives up waiting."""


async def place(user: Account, key: str) -> httpx.Response:
    return await user.http.post("/order", json=RESTING, headers={"idempotency-key": key})


async def test_node_is_unready_before_it_leaves_and_serves_until_it_does(
    stack: DevStack, tmp_path: Path
) -> None:
    async with (
        api_node(stack, tmp_path / "log", drain_seconds=3_600) as (api, url),
        account(url) as alice,
        following(alice.http) as follower,
    ):
        os.kill(api.pid, signal.SIGTERM)

        async def unready() -> bool:
            return (await alice.http.get("/readyz")).status_code == 503

        await eventually(unready, "it says that nobody should come")
        async with account(url, alice.user) as newcomer:
            placed = await place(newcomer, str(uuid4()))
        assert placed.status_code in (201, 202)
        await eventually(lambda: follower.told("order"), "streams go on")
        assert not follower.ended

        # Whoever says it again does not want to wait.
        assert await api.stop() == 0, api.said()
        await eventually(lambda: follower.ended, "the stream ends properly")
        with pytest.raises(httpx.ConnectError):
            await alice.http.get("/livez")


async def test_client_that_reads_nothing_does_not_hold_up_the_end(
    stack: DevStack, tmp_path: Path
) -> None:
    async with api_node(stack, tmp_path / "log") as (api, url), account(url) as alice:
        listed = (await alice.http.get("/symbols")).json()["items"]
        names = [one["symbol"] for one in listed][:150]
        with deaf_viewer(url, alice.token, names):

            async def waits_for_it() -> bool:
                metrics = (await alice.http.get("/metrics")).text
                return "sherwood_hub_parked_viewers 1.0" in metrics

            await eventually(waits_for_it, "what is written to it waits", 60)
            exit_code = await api.stop()

    assert exit_code == 0, api.said()
    assert CUT not in api.said()


def deaf_viewer(url: str, token: str, symbols: list[str]) -> socket.socket:
    """Ask for prices and read none of them; the kernel keeps little for it."""
    viewer = socket.socket()
    viewer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
    where = httpx.URL(url)
    viewer.connect((where.host, where.port))
    query = ",".join(symbols)
    head = f"GET /subscribe?symbols={query} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}"
    viewer.sendall(f"{head}\r\n\r\n".encode())
    return viewer


async def test_placement_under_way_is_answered_by_the_node_that_stops(
    stack: DevStack, tmp_path: Path
) -> None:
    key = str(uuid4())
    async with (
        api_node(stack, tmp_path / "log") as (api, url),
        account(url) as alice,
        exchange_of(stack) as exchange,
        rule(exchange, "place", order_id_for(alice.user, key), "delay", seconds=0.5) as fired,
        asyncio.TaskGroup() as tasks,
    ):
        asked = tasks.create_task(place(alice, key))
        await struck(fired)
        exit_code = await api.stop()

    # The outcome may be open still, on a slow machine; the answer is a whole one.
    assert asked.result().status_code in (201, 202)
    assert exit_code == 0, api.said()
    assert CUT not in api.said()


async def test_order_in_a_workers_hand_is_placed_once_by_the_worker_that_stops(
    stack: DevStack, alice: Account
) -> None:
    key = str(uuid4())
    order_id = order_id_for(alice.user, key)

    async def submitted() -> bool:
        return bool((await alice.http.get(f"/order/{order_id}")).json()["status"] == "submitted")

    async with (
        exchange_of(stack) as exchange,
        rule(exchange, "place", order_id, "delay", seconds=0.5) as fired,
    ):
        try:
            async with asyncio.TaskGroup() as tasks:
                asked = tasks.create_task(place(alice, key))
                await struck(fired)
                await stack.stop("orders-1")
        finally:
            await stack.start("orders-1")
        await eventually(submitted, "the order is on record as placed", 60)
        # The next worker would have to place anew what the first had left undone. What was not
        # answered in time, on a slow machine, is placed again by whoever has it.
        lost = await at_database(
            stack, "SELECT 1 FROM order_notes WHERE order_id = $1 AND kind = 'attempt'", order_id
        )
        assert await fired() <= 1 + len(lost)

    assert asked.result().status_code in (201, 202)
    assert stack.processes["orders-1"].last_end == "ended with exit code 0"


async def in_hand(stack: DevStack) -> bool:
    """Whether the process has reports that are not settled."""
    address = stack.processes["executions"].spec.address
    async with httpx.AsyncClient(base_url=address, trust_env=False) as http:
        metrics = (await http.get("/metrics")).text
    held = re.search(r"^sherwood_executions_held (\S+)$", metrics, re.MULTILINE)
    return held is not None and float(held[1]) > 0


async def test_execution_in_hand_is_handed_back_by_a_process_that_stops(
    stack: DevStack, alice: Account
) -> None:
    order = await place_resting(alice.http, numShares=5)
    await stack.stop("orders-1")
    try:
        async with exchange_of(stack) as exchange:
            terms = {"orderId": order["externalOrderId"], "priceCents": 100, "shares": 5}
            await control(exchange, "executions", **terms)
        await eventually(lambda: in_hand(stack), "it waits for the order's workflow", 60)
        await stack.stop("executions")
        assert stack.processes["executions"].last_end == "ended with exit code 0"
    finally:
        await stack.start("executions")
        await stack.start("orders-1")

    async def booked() -> bool:
        now = (await alice.http.get(f"/order/{order['id']}")).json()
        return bool(now["filledShares"] == 5)

    await eventually(booked, "the next process has it booked", 90)
    listed = (await alice.http.get("/executions", params={"orderId": order["id"]})).json()
    assert len(listed["items"]) == 1
