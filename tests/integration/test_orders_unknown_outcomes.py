"""The exchange does something with an order, and its answer is lost: the order's end is right."""

from typing import Any
from uuid import uuid4

import pytest

from brokerage.contracts.ids import order_id_for
from devstack.stack import DevStack
from tests.support.accounts import account
from tests.support.exchange_rules import exchange_of, recorded, rule
from tests.support.trading import RESTING, ended, held_cents, place

# More than a print brings, so that only a part of it is executed.
IOC: dict[str, Any] = {
    "position": "buy",
    "symbol": "BAC",
    "numShares": 6_000,
    "timeInForce": "ioc",
}


@pytest.mark.parametrize(
    "action", ["accept-then-drop", "accept-then-error", "drop", "error", "garbage"]
)
async def test_order_whose_answer_is_lost_is_placed_once(stack: DevStack, action: str) -> None:
    key = str(uuid4())
    async with account(stack.api_url) as alice, exchange_of(stack) as exchange:
        async with rule(exchange, "place", order_id_for(alice.user, key), action, times=1):
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
            exchange, "place", order_id_for(alice.user, key), "accept-then-hang", seconds=3, times=1
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
        async with rule(
            exchange, "place", order_id_for(alice.user, key), action, times=1, **seconds
        ):
            await place(alice, IOC, key)
            order = await ended(
                alice, order_id_for(alice.user, key), "cancelled", "filled", "rejected"
            )
        theirs = await recorded(exchange, order["id"])
        held = await held_cents(alice)

    assert theirs is not None
    assert order["status"] == theirs["status"]
    assert order["filledShares"] == theirs["cumulativeShares"]
    assert held == 0


async def test_cancel_whose_answer_is_lost_still_ends_the_order(stack: DevStack) -> None:
    key = str(uuid4())
    async with account(stack.api_url) as alice, exchange_of(stack) as exchange:
        order_id = (await place(alice, RESTING, key)).json()["id"]
        external = (await alice.http.get(f"/order/{order_id}")).json()["externalOrderId"]
        async with rule(exchange, "cancel", order_id, "accept-then-drop", times=1):
            answer = await alice.http.delete(f"/order/{order_id}")
            order = await ended(alice, order_id, "cancelled")
        theirs = await recorded(exchange, order_id)
        held = await held_cents(alice)

    assert answer.status_code in (200, 202)
    assert theirs is not None
    assert (theirs["orderId"], theirs["status"]) == (external, "cancelled")
    assert order["filledShares"] == 0
    assert held == 0


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
