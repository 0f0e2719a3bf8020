"""The exchange does something with an order, and its answer is lost: the order's end is right."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx
import pytest

from brokerage.contracts.ids import order_id_for
from devstack.stack import DevStack
from tests.support.accounts import Account, account
from tests.support.eventually import eventually

RESTING: dict[str, Any] = {
    "position": "buy",
    "symbol": "IBM",
    "priceInCents": 100,
    "numShares": 1,
    "timeInForce": "gtc",
}
# More than a print brings, so that only a part of it is executed.
IOC: dict[str, Any] = {
    "position": "buy",
    "symbol": "BAC",
    "numShares": 6_000,
    "timeInForce": "ioc",
}


@asynccontextmanager
async def exchange_of(stack: DevStack) -> AsyncIterator[httpx.AsyncClient]:
    """The exchange's own record, and its control panel, as another member sees them."""
    headers = {"X-Member": "sherwood"}
    async with httpx.AsyncClient(
        base_url=stack.exchange_url, headers=headers, trust_env=False, timeout=30
    ) as http:
        yield http


@asynccontextmanager
async def rule(
    exchange: httpx.AsyncClient, user: str, key: str, route: str, **action: Any
) -> AsyncIterator[None]:
    """Strike the calls about one order; a rule that never struck fails the test."""
    match = {"route": route, "clientOrderId": order_id_for(user, key)}
    made = await exchange.post("/v1/control/rules", json={**action, "match": match})
    assert made.is_success, made.text
    number = made.json()["id"]
    yield
    rules = {row["id"]: row for row in (await exchange.get("/v1/control/rules")).json()["items"]}
    assert rules[number]["fired"] > 0
    await exchange.delete(f"/v1/control/rules/{number}")


async def place(alice: Account, body: dict[str, Any], key: str) -> httpx.Response:
    return await alice.http.post("/order", json=body, headers={"idempotency-key": key})


async def ended(alice: Account, order_id: str, *statuses: str) -> dict[str, Any]:
    """The order once it has one of these statuses."""
    seen: dict[str, Any] = {}

    async def has_one() -> bool:
        seen.update((await alice.http.get(f"/order/{order_id}")).json())
        return seen.get("status") in statuses

    try:
        await eventually(has_one, f"the order is one of {statuses}", timeout_seconds=60)
    except AssertionError as error:
        raise AssertionError(f"last seen: {seen}") from error
    return seen


async def recorded(exchange: httpx.AsyncClient, order_id: str) -> dict[str, Any] | None:
    """The order as the exchange has it, or None."""
    answer = await exchange.get(f"/v1/orders/by-client-id/{order_id}")
    return answer.json() if answer.is_success else None


@pytest.mark.parametrize(
    "action", ["accept-then-drop", "accept-then-error", "drop", "error", "garbage"]
)
async def test_order_whose_answer_is_lost_is_placed_once(stack: DevStack, action: str) -> None:
    key = str(uuid4())
    async with account(stack.api_url) as alice, exchange_of(stack) as exchange:
        async with rule(exchange, alice.user, key, "place", action=action, times=1):
            answer = await place(alice, RESTING, key)
            order = await ended(alice, order_id_for(alice.user, key), "submitted")
        again = await place(alice, RESTING, key)
        theirs = await recorded(exchange, order["id"])

    assert answer.status_code in (201, 202)
    assert again.status_code == 201
    assert again.json()["id"] == order["id"]
    assert theirs is not None
    assert theirs["orderId"] == order["externalOrderId"]


async def test_order_is_not_lost_when_the_exchange_hangs(stack: DevStack) -> None:
    key = str(uuid4())
    async with account(stack.api_url) as alice, exchange_of(stack) as exchange:
        async with rule(
            exchange, alice.user, key, "place", action="accept-then-hang", seconds=3, times=1
        ):
            answer = await place(alice, RESTING, key)
            order = await ended(alice, order_id_for(alice.user, key), "submitted")
        theirs = await recorded(exchange, order["id"])

    assert answer.status_code == 202
    assert answer.json()["status"] == "pending"
    assert theirs is not None
    assert theirs["status"] == "open"


@pytest.mark.parametrize("action", ["accept-then-drop", "accept-then-hang"])
async def test_ioc_order_whose_answer_is_lost_ends_with_what_it_got(
    stack: DevStack, action: str
) -> None:
    key = str(uuid4())
    seconds = {"seconds": 2} if action == "accept-then-hang" else {}
    async with account(stack.api_url) as alice, exchange_of(stack) as exchange:
        async with rule(exchange, alice.user, key, "place", action=action, times=1, **seconds):
            await place(alice, IOC, key)
            order = await ended(
                alice, order_id_for(alice.user, key), "cancelled", "filled", "rejected"
            )
        theirs = await recorded(exchange, order["id"])
        portfolio = (await alice.http.get("/portfolio")).json()

    assert theirs is not None
    assert order["status"] == theirs["status"]
    assert order["filledShares"] == theirs["cumulativeShares"]
    assert portfolio["heldCashInCents"] == 0


async def test_cancel_whose_answer_is_lost_still_ends_the_order(stack: DevStack) -> None:
    key = str(uuid4())
    async with account(stack.api_url) as alice, exchange_of(stack) as exchange:
        order_id = (await place(alice, RESTING, key)).json()["id"]
        external = (await alice.http.get(f"/order/{order_id}")).json()["externalOrderId"]
        async with rule(exchange, alice.user, key, "cancel", action="accept-then-drop", times=1):
            answer = await alice.http.delete(f"/order/{order_id}")
            order = await ended(alice, order_id, "cancelled")
        theirs = await recorded(exchange, order_id)
        portfolio = (await alice.http.get("/portfolio")).json()

    assert answer.status_code in (200, 202)
    assert theirs is not None
    assert (theirs["orderId"], theirs["status"]) == (external, "cancelled")
    assert order["filledShares"] == 0
    assert portfolio["heldCashInCents"] == 0


async def test_orders_placed_without_the_exchange_agree_with_it_once_it_is_back(
    stack: DevStack,
) -> None:
    keys = [str(uuid4()) for _ in range(3)]
    async with account(stack.api_url) as alice, exchange_of(stack) as exchange:
        await stack.stop("exchange")
        try:
            answers = [await place(alice, RESTING, key) for key in keys]
        finally:
            await stack.start("exchange")
        orders = [
            await ended(alice, order_id_for(alice.user, key), "submitted", "failed")
            for key in keys
            # Refused before anything was written, when the feed was seen to be silent already.
            if answers[keys.index(key)].status_code == 202
        ]
        theirs = [await recorded(exchange, order["id"]) for order in orders]

    assert {answer.status_code for answer in answers} <= {202, 503}
    assert orders
    for ours, record in zip(orders, theirs, strict=True):
        assert (ours["status"] == "submitted") == (record is not None)
