"""Placing, reading, listing and cancelling orders over HTTP."""

import asyncio
from datetime import datetime
from typing import Any
from uuid import uuid4

import httpx
from temporalio.client import Client

from brokerage.contracts.ids import order_id_for, workflow_id_for
from devstack.stack import DevStack
from tests.support.accounts import account
from tests.support.eventually import eventually

RESTING: dict[str, Any] = {
    "position": "buy",
    "symbol": "SPY",
    "priceInCents": 100,
    "numShares": 1,
    "timeInForce": "gtc",
}
"""So far below the market that it never trades."""
MARKET: dict[str, Any] = {"position": "buy", "symbol": "SPY", "numShares": 2}


async def place(
    http: httpx.AsyncClient, body: dict[str, Any], key: str | None = None
) -> httpx.Response:
    return await http.post("/order", json=body, headers={"idempotency-key": key or str(uuid4())})


async def placed(http: httpx.AsyncClient, body: dict[str, Any]) -> dict[str, Any]:
    response = await place(http, body)
    assert response.status_code == 201, response.text
    order: dict[str, Any] = response.json()
    return order


async def status_becomes(http: httpx.AsyncClient, order_id: str, status: str) -> None:
    async def is_so() -> bool:
        return bool((await http.get(f"/order/{order_id}")).json()["status"] == status)

    await eventually(is_so, f"the order is {status}")


async def test_placed_order_can_be_read_at_its_location(stack: DevStack) -> None:
    key = str(uuid4())
    async with account(stack.api_url) as alice:
        response = await place(alice.http, RESTING, key)
        order = response.json()
        read = await alice.http.get(response.headers["location"])

    assert response.status_code == 201
    assert "idempotent-replayed" not in response.headers
    assert order["id"] == order_id_for(alice.user, key)
    assert order["status"] == "submitted"
    assert order["outcome"] == "accepted"
    assert {name: order[name] for name in RESTING} == RESTING
    assert read.json() == order
    assert datetime.fromisoformat(order["createdAt"]).utcoffset() is not None


async def test_market_order_fills_and_moves_cash_and_shares(stack: DevStack) -> None:
    async with account(stack.api_url) as alice:
        before = (await alice.http.get("/portfolio")).json()
        order = await placed(alice.http, MARKET)
        await status_becomes(alice.http, order["id"], "filled")
        filled = (await alice.http.get(f"/order/{order['id']}")).json()
        after = (await alice.http.get("/portfolio")).json()

    held = [
        {position["symbol"]: position["shares"] for position in portfolio["positions"]}["SPY"]
        for portfolio in (before, after)
    ]
    assert (filled["filledShares"], filled["priceInCents"]) == (2, None)
    assert after["cashInCents"] == before["cashInCents"] - filled["filledNotionalInCents"]
    assert after["heldCashInCents"] == 0
    assert held[1] == held[0] + 2
    assert after["totalValueInCents"] == after["cashInCents"] + sum(
        position["shares"] * position["priceInCents"] for position in after["positions"]
    )


async def test_resting_buy_holds_its_cash(stack: DevStack) -> None:
    async with account(stack.api_url) as alice:
        await placed(alice.http, {**RESTING, "numShares": 7})
        portfolio = (await alice.http.get("/portfolio")).json()

    assert portfolio["heldCashInCents"] == 700
    assert portfolio["buyingPowerInCents"] == portfolio["cashInCents"] - 700


async def test_repeat_is_the_same_order_and_the_same_bytes(stack: DevStack) -> None:
    key = str(uuid4())
    async with account(stack.api_url) as alice:
        first = await place(alice.http, RESTING, key)
        await alice.http.delete(first.headers["location"])
        again = await place(alice.http, RESTING, f'"{key.upper()}"')
        listed = (await alice.http.get("/orders")).json()["items"]

    assert again.status_code == 201
    assert again.content == first.content
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["idempotent-replayed"] == "true"
    assert [order["status"] for order in listed] == ["cancelled"]


async def test_fifty_equal_requests_at_once_are_one_order(stack: DevStack) -> None:
    key = str(uuid4())
    async with account(stack.api_url) as alice:
        async with asyncio.TaskGroup() as tasks:
            asked = [tasks.create_task(place(alice.http, MARKET, key)) for _ in range(50)]
        answers = [task.result() for task in asked]
        listed = (await alice.http.get("/orders")).json()["items"]

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    # Those that came while it was under way share the answer; only later ones are replays.
    assert any("idempotent-replayed" not in answer.headers for answer in answers)
    assert len(listed) == 1


async def test_same_key_of_two_users_is_two_orders(stack: DevStack) -> None:
    key = str(uuid4())
    async with account(stack.api_url) as alice, account(stack.api_url) as bob:
        hers = (await place(alice.http, RESTING, key)).json()
        his = (await place(bob.http, RESTING, key)).json()

    assert hers["id"] != his["id"]


async def test_foreign_order_looks_exactly_like_an_unknown_one(stack: DevStack) -> None:
    async with account(stack.api_url) as alice, account(stack.api_url) as bob:
        order = await placed(alice.http, RESTING)
        for method in ("GET", "DELETE"):
            answers = [
                await bob.http.request(method, f"/order/{order_id}")
                for order_id in (order["id"], str(uuid4()), "not-an-id")
            ]
            assert {answer.status_code for answer in answers} == {404}
            assert len({answer.content for answer in answers}) == 1
        listed = (await bob.http.get("/orders")).json()["items"]
        still = (await alice.http.get(f"/order/{order['id']}")).json()

    assert listed == []
    assert still["status"] == "submitted"


async def test_pages_hold_every_order_once_while_new_ones_come(stack: DevStack) -> None:
    async with account(stack.api_url) as alice:
        first = [(await placed(alice.http, RESTING))["id"] for _ in range(7)]
        seen: list[str] = []
        cursor: str | None = None
        while True:
            query: dict[str, str | int] = {"limit": 3}
            if cursor is not None:
                query["cursor"] = cursor
            page = (await alice.http.get("/orders", params=query)).json()
            assert len(page["items"]) <= 3
            seen += [order["id"] for order in page["items"]]
            cursor = page["nextCursor"]
            if cursor is None:
                break
            await placed(alice.http, RESTING)

    assert seen == first[::-1]


async def test_list_is_filtered(stack: DevStack) -> None:
    key = str(uuid4())
    async with account(stack.api_url) as alice:
        resting = await placed(alice.http, RESTING)
        ended = (await place(alice.http, {**RESTING, "symbol": "IBM"}, key)).json()
        await alice.http.delete(f"/order/{ended['id']}")

        async def ids(**query: str) -> list[str]:
            page = (await alice.http.get("/orders", params=query)).json()
            return [order["id"] for order in page["items"]]

        assert await ids() == [ended["id"], resting["id"]]
        assert await ids(status="open") == [resting["id"]]
        assert await ids(status="closed") == [ended["id"]]
        assert await ids(status="cancelled,submitted") == [ended["id"], resting["id"]]
        assert await ids(symbol="SPY") == [resting["id"]]
        assert await ids(idempotencyKey=key) == [ended["id"]]
        assert await ids(idempotencyKey=str(uuid4())) == []


async def test_cancel_ends_the_order_and_may_be_repeated(stack: DevStack) -> None:
    async with account(stack.api_url) as alice:
        order = await placed(alice.http, RESTING)
        first = await alice.http.delete(f"/order/{order['id']}")
        again = await alice.http.delete(f"/order/{order['id']}")
        portfolio = (await alice.http.get("/portfolio")).json()

    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json()["ok"] is True
    assert first.json()["order"]["status"] == "cancelled"
    assert again.json() == first.json()
    assert portfolio["heldCashInCents"] == 0


async def test_several_cancels_at_once_are_one(stack: DevStack) -> None:
    async with account(stack.api_url) as alice:
        order = await placed(alice.http, RESTING)
        async with asyncio.TaskGroup() as tasks:
            asked = [
                tasks.create_task(alice.http.delete(f"/order/{order['id']}")) for _ in range(5)
            ]

    assert {task.result().status_code for task in asked} == {200}
    assert len({task.result().content for task in asked}) == 1


async def test_filled_order_is_too_late_to_cancel(stack: DevStack) -> None:
    async with account(stack.api_url) as alice:
        order = await placed(alice.http, MARKET)
        await status_becomes(alice.http, order["id"], "filled")
        refused = await alice.http.delete(f"/order/{order['id']}")

    assert refused.status_code == 409
    assert refused.json()["code"] == "too-late-to-cancel"
    assert refused.json()["order"]["status"] == "filled"


async def test_order_that_the_exchange_keeps_is_live_again(stack: DevStack) -> None:
    rule = {"action": "refuse", "match": {"route": "cancel", "symbol": "ACN"}, "times": 1}
    async with (
        account(stack.api_url) as alice,
        httpx.AsyncClient(base_url=stack.exchange_url, trust_env=False) as exchange,
    ):
        order = await placed(alice.http, {**RESTING, "symbol": "ACN"})
        assert (await exchange.post("/v1/control/rules", json=rule)).is_success
        kept = await alice.http.delete(f"/order/{order['id']}")

        async def gone() -> bool:
            answer = await alice.http.delete(f"/order/{order['id']}")
            return answer.status_code == 200

        await eventually(gone, "the order is cancelled")

    assert kept.status_code == 409, kept.text
    assert kept.json()["code"] == "cancel-refused"
    assert kept.json()["order"]["status"] == "submitted"


async def test_open_order_whose_workflow_is_gone_is_cancelled_all_the_same(
    stack: DevStack,
) -> None:
    temporal = await Client.connect(stack.env["SHERWOOD_TEMPORAL_ADDRESS"])
    async with account(stack.api_url) as alice:
        order = await placed(alice.http, RESTING)
        await temporal.get_workflow_handle(workflow_id_for(order["id"])).terminate()

        answer = await alice.http.delete(f"/order/{order['id']}")

    assert answer.status_code == 200, answer.text
    assert answer.json()["order"]["status"] == "cancelled"


async def test_reader_can_wait_for_a_newer_version(stack: DevStack) -> None:
    async with account(stack.api_url) as alice:
        order = await placed(alice.http, RESTING)
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(
                alice.http.get(f"/order/{order['id']}", params={"afterVersion": order["version"]})
            )
            await alice.http.delete(f"/order/{order['id']}")

    assert waiting.result().json()["version"] > order["version"]
