"""Placing, reading, listing and cancelling orders over HTTP."""

import asyncio
from datetime import datetime
from uuid import uuid4

import httpx
from temporalio.client import Client

from brokerage.contracts.ids import order_id_for, workflow_id_for
from devstack.stack import DevStack
from tests.support.accounts import Account, account
from tests.support.eventually import eventually
from tests.support.exchange_rules import exchange_of, rule
from tests.support.trading import MARKET, RESTING, answered, ended, place, placed


async def cancel(alice: Account, order_id: str) -> httpx.Response:
    """The answer to a cancel once it is 200; asked for again until the exchange has answered."""

    async def attempt() -> httpx.Response:
        answer = await alice.http.delete(f"/order/{order_id}")
        assert answer.status_code == 200, answer.text
        return answer

    # Not so long that the sweep would find an order that nobody runs.
    answer: httpx.Response = await eventually(attempt, "the order is cancelled", 25)
    return answer


async def test_placed_order_can_be_read_at_its_location(stack: DevStack) -> None:
    async with account(stack.api_url) as alice:

        async def taken_at_once() -> tuple[str, httpx.Response]:
            key = str(uuid4())
            response = await place(alice, RESTING, key)
            assert response.status_code == 201, response.text
            return key, response

        key, response = await eventually(taken_at_once, "the exchange has an order")
        order = response.json()
        read = await alice.http.get(response.headers["location"])

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
        order = await placed(alice, MARKET)
        filled = await ended(alice, order["id"], "filled")
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
        await placed(alice, {**RESTING, "numShares": 7})
        portfolio = (await alice.http.get("/portfolio")).json()

    assert portfolio["heldCashInCents"] == 700
    assert portfolio["buyingPowerInCents"] == portfolio["cashInCents"] - 700


async def test_repeat_is_the_same_order_and_the_same_bytes(stack: DevStack) -> None:
    key = str(uuid4())
    async with account(stack.api_url) as alice:
        first = await answered(alice, RESTING, 201, key)
        await cancel(alice, first.json()["id"])
        again = await answered(alice, RESTING, 201, f'"{key.upper()}"')
        listed = (await alice.http.get("/orders")).json()["items"]

    assert again.content == first.content
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["idempotent-replayed"] == "true"
    assert [order["status"] for order in listed] == ["cancelled"]


async def test_fifty_equal_requests_at_once_are_one_order(stack: DevStack) -> None:
    key = str(uuid4())
    async with account(stack.api_url) as alice:
        async with asyncio.TaskGroup() as tasks:
            asked = [tasks.create_task(place(alice, MARKET, key)) for _ in range(50)]
        at_once = [task.result() for task in asked]
        # Whom a busy machine had no answer for gets the same one later.
        answers = [await answered(alice, MARKET, 201, key) for _ in at_once]
        listed = (await alice.http.get("/orders")).json()["items"]

    assert {answer.status_code for answer in at_once} <= {201, 202, 503}
    answers += [answer for answer in at_once if answer.status_code == 201]
    assert len({answer.content for answer in answers}) == 1
    # Those that came while it was under way share the answer; only later ones are replays.
    assert any("idempotent-replayed" not in answer.headers for answer in at_once)
    assert len(listed) == 1


async def test_same_key_of_two_users_is_two_orders(stack: DevStack) -> None:
    key = str(uuid4())
    async with account(stack.api_url) as alice, account(stack.api_url) as bob:
        hers = await placed(alice, RESTING, key)
        his = await placed(bob, RESTING, key)

    assert hers["id"] != his["id"]


async def test_foreign_order_looks_exactly_like_an_unknown_one(stack: DevStack) -> None:
    async with account(stack.api_url) as alice, account(stack.api_url) as bob:
        order = await placed(alice, RESTING)
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
        first = [(await placed(alice, RESTING))["id"] for _ in range(7)]
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
            await placed(alice, RESTING)

    assert seen == first[::-1]


async def test_list_is_filtered(stack: DevStack) -> None:
    key = str(uuid4())
    async with account(stack.api_url) as alice:
        resting = await placed(alice, RESTING)
        gone = await placed(alice, {**RESTING, "symbol": "SPY"}, key)
        await cancel(alice, gone["id"])

        async def ids(**query: str) -> list[str]:
            page = (await alice.http.get("/orders", params=query)).json()
            return [order["id"] for order in page["items"]]

        assert await ids() == [gone["id"], resting["id"]]
        assert await ids(status="open") == [resting["id"]]
        assert await ids(status="closed") == [gone["id"]]
        assert await ids(status="cancelled,submitted") == [gone["id"], resting["id"]]
        assert await ids(symbol="IBM") == [resting["id"]]
        assert await ids(idempotencyKey=key) == [gone["id"]]
        assert await ids(idempotencyKey=str(uuid4())) == []


async def test_cancel_ends_the_order_and_may_be_repeated(stack: DevStack) -> None:
    async with account(stack.api_url) as alice:
        order = await placed(alice, RESTING)
        first = await cancel(alice, order["id"])
        again = await cancel(alice, order["id"])
        portfolio = (await alice.http.get("/portfolio")).json()

    assert first.json()["ok"] is True
    assert first.json()["order"]["status"] == "cancelled"
    assert again.json() == first.json()
    assert portfolio["heldCashInCents"] == 0


async def test_several_cancels_at_once_are_one(stack: DevStack) -> None:
    async with account(stack.api_url) as alice:
        order = await placed(alice, RESTING)
        async with asyncio.TaskGroup() as tasks:
            asked = [tasks.create_task(cancel(alice, order["id"])) for _ in range(5)]

    assert len({task.result().content for task in asked}) == 1


async def test_filled_order_is_too_late_to_cancel(stack: DevStack) -> None:
    async with account(stack.api_url) as alice:
        order = await placed(alice, MARKET)
        await ended(alice, order["id"], "filled")
        refused = await alice.http.delete(f"/order/{order['id']}")

    assert refused.status_code == 409
    assert refused.json()["code"] == "too-late-to-cancel"
    assert refused.json()["order"]["status"] == "filled"


async def test_order_that_the_exchange_keeps_is_live_again(stack: DevStack) -> None:
    async with account(stack.api_url) as alice, exchange_of(stack) as exchange:
        order = await placed(alice, RESTING)

        async def is_kept() -> httpx.Response:
            answer = await alice.http.delete(f"/order/{order['id']}")
            # Where the exchange's answer came too late for this one, another cancel is refused.
            assert answer.status_code == 409, answer.text
            return answer

        async with rule(exchange, "cancel", order["id"], "refuse"):
            kept = await eventually(is_kept, "the order is kept")
        await cancel(alice, order["id"])

    assert kept.json()["code"] == "cancel-refused"
    assert kept.json()["order"]["status"] == "submitted"


async def test_open_order_whose_workflow_is_gone_is_cancelled_all_the_same(
    stack: DevStack,
) -> None:
    temporal = await Client.connect(stack.env["SHERWOOD_TEMPORAL_ADDRESS"])
    async with account(stack.api_url) as alice:
        order = await placed(alice, RESTING)
        await temporal.get_workflow_handle(workflow_id_for(order["id"])).terminate()

        answer = await cancel(alice, order["id"])

    assert answer.json()["order"]["status"] == "cancelled"


async def test_reader_can_wait_for_a_newer_version(stack: DevStack) -> None:
    async with account(stack.api_url) as alice:
        order = await placed(alice, RESTING)
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(
                alice.http.get(f"/order/{order['id']}", params={"afterVersion": order["version"]})
            )
            await cancel(alice, order["id"])

    assert waiting.result().json()["version"] > order["version"]
