"""`DELETE /orders`: every open order, or those of a symbol, and the truth about each."""

import asyncio
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from brokerage.contracts.ids import order_id_for
from devstack.stack import DevStack
from tests.support.accounts import account
from tests.support.exchange_rules import control, exchange_of, rule, struck
from tests.support.ports import free_port
from tests.support.running import running
from tests.support.trading import (
    MARKET,
    RESTING,
    by_id,
    ended,
    held_cents,
    kinds_of_events,
    no_rate_limit,
    place,
    placed,
    read,
    until,
)


async def test_everything_open_is_cancelled_and_nothing_else_is_named(stack: DevStack) -> None:
    async with account(stack.api_url) as alice, account(stack.api_url) as bob:
        resting = [(await placed(alice, {**RESTING, "symbol": s}))["id"] for s in ("IBM", "BRK.B")]
        filled = (await placed(alice, MARKET))["id"]
        await ended(alice, filled, "filled")
        his = (await placed(bob, RESTING))["id"]

        answer = await alice.http.delete("/orders")
        again = await alice.http.delete("/orders")

        assert (await read(bob, his))["status"] == "submitted"
        assert await held_cents(alice) == 0
    assert answer.status_code == 200, answer.text
    assert (answer.json()["ok"], answer.json()["more"]) == (True, False)
    assert [item["id"] for item in answer.json()["items"]] == resting
    for item in answer.json()["items"]:
        assert (item["status"], item["ok"], item["code"]) == (200, True, None)
        assert item["order"]["status"] == "cancelled"
    assert again.status_code == 200
    assert again.json() == {"ok": True, "items": [], "more": False}


async def test_only_the_named_symbol_is_cancelled(stack: DevStack) -> None:
    async with account(stack.api_url) as alice:
        kept = (await placed(alice, RESTING))["id"]
        gone = (await placed(alice, {**RESTING, "symbol": "SPY"}))["id"]
        answer = await alice.http.delete("/orders", params={"symbol": "SPY"})
        orders = [await read(alice, order_id) for order_id in (kept, gone)]

    assert [item["id"] for item in answer.json()["items"]] == [gone]
    assert [order["status"] for order in orders] == ["submitted", "cancelled"]


@pytest.mark.parametrize("query", ["symbl=IBM", "symbol=IBM&symbol=SPY", "symbol=", "symbol=ibm"])
async def test_request_that_may_mean_less_than_everything_cancels_nothing(
    stack: DevStack, query: str
) -> None:
    async with account(stack.api_url) as alice:
        order_id = (await placed(alice, RESTING))["id"]
        refused = await alice.http.delete(f"/orders?{query}")
        order = await read(alice, order_id)

    assert (refused.status_code, refused.json()["code"]) == (422, "invalid-request")
    assert order["status"] == "submitted"


async def test_each_order_is_told_of_by_itself_and_the_rest_goes_with_a_repeat(
    stack: DevStack,
) -> None:
    async with account(stack.api_url) as alice, exchange_of(stack) as exchange:
        gone, kept, silent = [(await placed(alice, RESTING))["id"] for _ in range(3)]
        async with (
            rule(exchange, "cancel", kept, "refuse", times=1),
            rule(exchange, "cancel", silent, "error"),
        ):
            first = await alice.http.delete("/orders")
        items = by_id(first.json()["items"])
        await ended(alice, silent, "cancelled")
        second = await alice.http.delete("/orders")

    assert first.status_code == 207
    assert (first.json()["ok"], first.json()["more"]) == (False, False)
    assert first.headers["retry-after"] == "1"
    assert {key: (item["status"], item["ok"], item["code"]) for key, item in items.items()} == {
        gone: (200, True, None),
        kept: (409, False, "cancel-refused"),
        silent: (202, False, None),
    }
    assert items[kept]["order"]["status"] == "submitted"
    assert items[silent]["order"]["status"] == "pending_cancel"
    assert second.status_code == 200
    assert [item["id"] for item in second.json()["items"]] == [kept]


async def test_order_that_ends_another_way_meanwhile_is_told_as_too_late(stack: DevStack) -> None:
    async with account(stack.api_url) as alice, exchange_of(stack) as exchange:
        order = await placed(alice, RESTING)
        async with rule(exchange, "cancel", order["id"], "error"), asyncio.TaskGroup() as tasks:
            asked = tasks.create_task(alice.http.delete("/orders"))
            await until(alice, order["id"], lambda one: one["status"] == "pending_cancel")
            await control(exchange, "ends", orderId=order["externalOrderId"], status="expired")

    answer = asked.result()
    [item] = answer.json()["items"]
    assert answer.status_code == 207
    assert (item["status"], item["code"]) == (409, "too-late-to-cancel")
    assert item["order"]["status"] == "expired"


async def test_more_orders_than_one_answer_holds_go_in_turns(stack: DevStack) -> None:
    async with account(stack.api_url) as alice:
        await no_rate_limit(stack, alice)
        mine: set[str] = set()
        while len(mine) < 104:
            async with asyncio.TaskGroup() as tasks:
                made = [
                    # Those of one symbol would go one after the other.
                    tasks.create_task(placed(alice, {**RESTING, "symbol": symbol}))
                    for symbol in ("SPY", "IBM", "AIG", "BAC", "AAPL", "MSFT", "GE", "META")
                ]
            mine |= {task.result()["id"] for task in made}
        seen: set[str] = set()
        answers: list[dict[str, Any]] = []
        while not answers or answers[-1]["more"]:
            answer = (await alice.http.delete("/orders")).json()
            answers.append(answer)
            seen |= {item["id"] for item in answer["items"]}
        for order_id in mine:
            await ended(alice, order_id, "cancelled")

    assert len(answers[0]["items"]) == 100
    assert answers[0]["ok"] is False
    assert seen == mine


async def test_many_cancels_of_one_order_at_once_do_not_stop_its_fill(stack: DevStack) -> None:
    key = str(uuid4())
    async with account(stack.api_url) as alice, exchange_of(stack) as exchange:
        order_id = order_id_for(alice.user, key)
        async with (
            rule(exchange, "place", order_id, "late-fill", seconds=1),
            rule(exchange, "cancel", order_id, "error"),
            asyncio.TaskGroup() as tasks,
        ):
            await placed(alice, MARKET, key)
            asked = [tasks.create_task(alice.http.delete(f"/order/{order_id}")) for _ in range(30)]
            final = await ended(alice, order_id, "filled", "cancelled")
        kinds = await kinds_of_events(stack, order_id)

    assert {task.result().status_code for task in asked} <= {202, 409, 503}
    assert final["status"] == "filled"
    assert kinds == ["placed", "submitted", "cancel-requested", "fill"]


async def test_node_that_is_full_of_placements_still_cancels(
    stack: DevStack, tmp_path: Path
) -> None:
    port, key = free_port(), str(uuid4())
    environment = {
        **stack.env,
        "SHERWOOD_API_PORT": str(port),
        "SHERWOOD_PLACEMENTS_MAX": "1",
        "SHERWOOD_TOKEN_SECRET": (stack.settings.home / "token-secret").read_text().strip(),
    }
    url = f"http://127.0.0.1:{port}"
    async with (
        running("api", environment=environment, ready_url=f"{url}/readyz", log=tmp_path / "log"),
        account(url) as alice,
        exchange_of(stack) as exchange,
    ):
        resting = await placed(alice, RESTING)
        hanging = order_id_for(alice.user, key)
        async with (
            rule(exchange, "place", hanging, "accept-then-hang", seconds=3, times=1) as fired,
            asyncio.TaskGroup() as tasks,
        ):
            tasks.create_task(place(alice, {**RESTING, "symbol": "SPY"}, key))
            await struck(fired)
            refused = await place(alice, {**RESTING, "symbol": "BAC"})
            one = await alice.http.delete(f"/order/{resting['id']}")

    assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
    assert one.status_code == 200
