"""`DELETE /orders`: every open order, or those of a symbol, and the truth about each."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from devstack.stack import DevStack
from tests.support.accounts import Account, account
from tests.support.api_node import api_node
from tests.support.eventually import eventually
from tests.support.exchange_rules import control, exchange_of, rule, struck
from tests.support.trading import (
    END_SECONDS,
    MARKET,
    RESTING,
    Order,
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

CANCELLED = (200, True, None)
ASKED = (202, False, None)
"""What a busy machine has the exchange's answer come too late for."""
UNREACHED = (503, False, "unavailable")
"""What a busy machine has no time to put on record."""
STATUSES = {
    200: {"cancelled"},
    202: {"pending_cancel"},
    409: {"submitted", "expired"},
    503: {"submitted"},
}
"""What the order is by each answer."""


def told(item: Order) -> tuple[int, bool, str | None]:
    """What an answer says of one order."""
    return item["status"], item["ok"], item["code"]


async def cancel_all(alice: Account, **params: str) -> httpx.Response:
    """The answer to `DELETE /orders`, which is sent again until every wish is on record."""
    answers: list[httpx.Response] = []

    async def attempt() -> None:
        answer = await alice.http.delete("/orders", params=params)
        assert answer.status_code in (200, 207), answer.text
        answers.append(answer)
        assert UNREACHED not in map(told, answer.json()["items"])

    await eventually(attempt, "every wish is on record", END_SECONDS)
    return answers[0]


async def test_everything_open_is_cancelled_and_nothing_else_is_named(stack: DevStack) -> None:
    async with account(stack.api_url) as alice, account(stack.api_url) as bob:
        resting = [(await placed(alice, {**RESTING, "symbol": s}))["id"] for s in ("IBM", "BRK.B")]
        filled = (await placed(alice, MARKET))["id"]
        await ended(alice, filled, "filled")
        his = (await placed(bob, RESTING))["id"]

        answer = await cancel_all(alice)
        for order_id in resting:
            await ended(alice, order_id, "cancelled")
        again = await cancel_all(alice)

        assert (await read(bob, his))["status"] == "submitted"
        assert await held_cents(alice) == 0
    items = answer.json()["items"]
    whole = all(told(item) == CANCELLED for item in items)
    assert answer.status_code == (200 if whole else 207), answer.text
    assert (answer.json()["ok"], answer.json()["more"]) == (whole, False)
    assert [item["id"] for item in items] == resting
    for item in items:
        assert told(item) in (CANCELLED, ASKED, UNREACHED)
        assert item["order"]["status"] in STATUSES[item["status"]]
    assert again.status_code == 200
    assert again.json() == {"ok": True, "items": [], "more": False}


async def test_only_the_named_symbol_is_cancelled(stack: DevStack) -> None:
    async with account(stack.api_url) as alice:
        kept = (await placed(alice, RESTING))["id"]
        gone = (await placed(alice, {**RESTING, "symbol": "SPY"}))["id"]
        answer = await cancel_all(alice, symbol="SPY")
        await ended(alice, gone, "cancelled")
        other = await read(alice, kept)

    assert [item["id"] for item in answer.json()["items"]] == [gone]
    assert other["status"] == "submitted"


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
            rule(exchange, "cancel", kept, "refuse") as refused,
            rule(exchange, "cancel", silent, "error") as failed,
        ):
            first = await cancel_all(alice)
            await struck(refused)
            await struck(failed)
        items = by_id(first.json()["items"])
        await until(alice, kept, lambda one: one["status"] == "submitted")
        for order_id in (gone, silent):
            await ended(alice, order_id, "cancelled")
        second = await cancel_all(alice)

    assert first.status_code == 207
    assert (first.json()["ok"], first.json()["more"]) == (False, False)
    assert first.headers["retry-after"] == "1"
    assert items.keys() == {gone, kept, silent}
    assert told(items[gone]) in (CANCELLED, ASKED, UNREACHED)
    assert told(items[kept]) in ((409, False, "cancel-refused"), ASKED, UNREACHED)
    assert told(items[silent]) in (ASKED, UNREACHED)
    for item in items.values():
        assert item["order"]["status"] in STATUSES[item["status"]]
    assert [item["id"] for item in second.json()["items"]] == [kept]
    assert told(second.json()["items"][0]) in (CANCELLED, ASKED, UNREACHED)


async def test_order_that_ends_another_way_meanwhile_is_told_as_too_late(stack: DevStack) -> None:
    async with account(stack.api_url) as alice, exchange_of(stack) as exchange:
        order = await placed(alice, RESTING)
        async with rule(exchange, "cancel", order["id"], "error"), asyncio.TaskGroup() as tasks:
            asked = tasks.create_task(cancel_all(alice))
            await until(alice, order["id"], lambda one: one["status"] == "pending_cancel")
            await control(exchange, "ends", orderId=order["externalOrderId"], status="expired")
            await ended(alice, order["id"], "expired")
        again = await alice.http.delete(f"/order/{order['id']}")

    answer = asked.result()
    [item] = answer.json()["items"]
    assert answer.status_code == 207
    assert told(item) in ((409, False, "too-late-to-cancel"), ASKED, UNREACHED)
    assert item["order"]["status"] in STATUSES[item["status"]]
    assert (again.status_code, again.json()["code"]) == (409, "too-late-to-cancel")


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

        async def no_more() -> None:
            answer = await alice.http.delete("/orders")
            assert answer.status_code in (200, 207), answer.text
            answers.append(answer.json())
            seen.update(item["id"] for item in answers[-1]["items"])
            assert not answers[-1]["more"]
            assert UNREACHED not in map(told, answers[-1]["items"])

        await eventually(no_more, "every wish is on record", END_SECONDS)
        for order_id in mine:
            await ended(alice, order_id, "cancelled")

    assert len(answers[0]["items"]) == 100
    assert answers[0]["ok"] is False
    assert seen == mine


async def test_many_cancels_of_one_order_at_once_do_not_stop_its_fill(stack: DevStack) -> None:
    async with account(stack.api_url) as alice, exchange_of(stack) as exchange:
        order = await placed(alice, RESTING)
        order_id = order["id"]
        async with (
            rule(exchange, "cancel", order_id, "error") as fired,
            asyncio.TaskGroup() as tasks,
        ):
            asked = [tasks.create_task(alice.http.delete(f"/order/{order_id}")) for _ in range(30)]
            await struck(fired)
            fill = {"orderId": order["externalOrderId"], "shares": 1, "priceCents": 100}
            await control(exchange, "executions", **fill)
            final = await ended(alice, order_id, "filled", "cancelled")
        kinds = await kinds_of_events(stack, order_id)

    assert {task.result().status_code for task in asked} <= {202, 409, 503}
    assert final["status"] == "filled"
    assert kinds == ["placed", "submitted", "cancel-requested", "fill"]


async def test_node_that_is_full_of_placements_still_cancels(
    stack: DevStack, tmp_path: Path
) -> None:
    async with (
        api_node(stack, tmp_path / "log", placements_max=1) as (_, url),
        account(url) as alice,
        exchange_of(stack) as exchange,
    ):
        resting = (await placed(alice, RESTING))["id"]

        async def refused() -> None:
            answer = await place(alice, {**RESTING, "symbol": "BAC"})
            assert (answer.status_code, answer.json().get("code")) == (503, "overloaded")

        async with placements_hang(exchange, "SPY"), asyncio.TaskGroup() as tasks:
            filling = tasks.create_task(fill_up(alice, {**RESTING, "symbol": "SPY"}))
            await eventually(refused, "the node is full")
            one = await alice.http.delete(f"/order/{resting}")
            filling.cancel()
        await ended(alice, resting, "cancelled")

    assert one.status_code in (200, 202), one.text


@asynccontextmanager
async def placements_hang(exchange: httpx.AsyncClient, symbol: str) -> AsyncIterator[None]:
    """No order of this symbol is answered for as long as the block."""
    match = {"route": "place", "symbol": symbol}
    number = (await control(exchange, "rules", action="hang", match=match, seconds=30))["id"]
    try:
        yield
    finally:
        await exchange.delete(f"/v1/control/rules/{number}")


async def fill_up(alice: Account, body: Order) -> None:
    """Place without end: each is under way until the exchange's time for an answer is up."""
    while True:
        await place(alice, body)
