"""The exchange does something with an order, and its answer is lost: the order's end is right."""

from typing import Any
from uuid import uuid4

import httpx
import pytest

from brokerage.contracts.ids import order_id_for
from devstack.stack import DevStack
from tests.support.accounts import Account, account
from tests.support.away import away
from tests.support.eventually import eventually
from tests.support.exchange_rules import exchange_of, recorded, rule
from tests.support.trading import (
    RESTING,
    Order,
    answered,
    asked_to_cancel,
    assert_unknown,
    ended,
    held_cents,
    place,
    placed,
)

# More than a print brings, so that only a part of it is executed.
IOC: Order = {
    "position": "buy",
    "symbol": "BAC",
    "numShares": 6_000,
    "timeInForce": "ioc",
}


async def on_record(alice: Account, body: Order, key: str) -> None:
    """Place an order until it is on record, whatever is known of it."""

    async def attempt() -> bool:
        return (await place(alice, body, key)).status_code in (201, 202)

    await eventually(attempt, "the order is on record")


@pytest.mark.parametrize(
    "action", ["accept-then-drop", "accept-then-error", "drop", "error", "garbage"]
)
async def test_order_whose_answer_is_lost_is_placed_once(stack: DevStack, action: str) -> None:
    key = str(uuid4())
    async with account(stack.api_url) as alice, exchange_of(stack) as exchange:
        async with rule(exchange, "place", order_id_for(alice.user, key), action, times=1):
            await on_record(alice, RESTING, key)
            order = await ended(alice, order_id_for(alice.user, key), "submitted")
        again = await answered(alice, RESTING, 201, key)
        theirs = await recorded(exchange, order["id"])

    assert again.json()["id"] == order["id"]
    assert theirs is not None
    assert theirs["orderId"] == order["externalOrderId"]


async def test_order_is_not_lost_when_the_exchange_hangs(stack: DevStack) -> None:
    key = str(uuid4())
    async with account(stack.api_url) as alice, exchange_of(stack) as exchange:
        # Twice: or its answer could be known before the row is read for ours.
        async with rule(
            exchange, "place", order_id_for(alice.user, key), "accept-then-hang", seconds=3, times=2
        ):
            answer = await place(alice, RESTING, key)
            await on_record(alice, RESTING, key)
            order = await ended(alice, order_id_for(alice.user, key), "submitted")
        theirs = await recorded(exchange, order["id"])

    assert_unknown(answer)
    assert theirs is not None
    assert theirs["status"] == "open"


@pytest.mark.parametrize("action", ["accept-then-drop", "accept-then-hang"])
async def test_ioc_order_whose_answer_is_lost_ends_with_what_it_got(
    stack: DevStack, action: str
) -> None:
    key = str(uuid4())
    seconds: dict[str, Any] = {"seconds": 2} if action == "accept-then-hang" else {}
    async with account(stack.api_url) as alice, exchange_of(stack) as exchange:
        async with rule(
            exchange, "place", order_id_for(alice.user, key), action, times=1, **seconds
        ):
            await on_record(alice, IOC, key)
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
    async with account(stack.api_url) as alice, exchange_of(stack) as exchange:
        live = await placed(alice, RESTING)
        order_id, external = live["id"], live["externalOrderId"]
        async with rule(exchange, "cancel", order_id, "accept-then-drop", times=1):
            await asked_to_cancel(alice, order_id)
            order = await ended(alice, order_id, "cancelled")
        theirs = await recorded(exchange, order_id)
        held = await held_cents(alice)

    assert theirs is not None
    assert (theirs["orderId"], theirs["status"]) == (external, "cancelled")
    assert order["filledShares"] == 0
    assert held == 0


async def test_orders_placed_without_the_exchange_agree_with_it_once_it_is_back(
    stack: DevStack,
) -> None:
    answers: list[tuple[str, httpx.Response]] = []
    async with account(stack.api_url) as alice, exchange_of(stack) as exchange:

        async def some_are_on_record() -> bool:
            await placed(alice, RESTING)
            stack.kill("exchange")  # a stop takes a while, and soon the feed is known to be silent
            async with away(stack, "exchange"):
                keys = [str(uuid4()) for _ in range(3)]
                answers.extend([(key, await place(alice, RESTING, key)) for key in keys])
            return any(answer.status_code == 202 for _, answer in answers)

        await eventually(some_are_on_record, "an order is on record", 180)
        orders = [
            await ended(alice, order_id_for(alice.user, key), "submitted", "failed")
            for key, answer in answers
            # Refused before anything was written, when the feed was seen to be silent already.
            if answer.status_code == 202
        ]
        theirs = [await recorded(exchange, order["id"]) for order in orders]

    assert {answer.status_code for _, answer in answers} <= {202, 503}
    for ours, record in zip(orders, theirs, strict=True):
        assert (ours["status"] == "submitted") == (record is not None)
