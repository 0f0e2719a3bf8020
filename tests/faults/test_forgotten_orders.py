"""The exchange loses its journal: what it forgot can still be cancelled, and trading goes on."""

import shutil

from devstack.stack import DevStack
from tests.support.accounts import account
from tests.support.eventually import eventually
from tests.support.exchange_rules import control, exchange_of
from tests.support.trading import (
    MARKET,
    RESTING,
    Order,
    by_id,
    ended,
    held_cents,
    placed,
    until,
)


async def test_orders_that_the_exchange_forgot_are_cancelled_with_what_is_booked() -> None:
    async with DevStack.temporary() as stack:
        await stack.wait_ready()
        async with account(stack.api_url) as alice:
            whole = await placed(alice, RESTING)
            part = await placed(alice, {**RESTING, "numShares": 10})
            async with exchange_of(stack) as exchange:
                await control(
                    exchange,
                    "executions",
                    orderId=part["externalOrderId"],
                    shares=4,
                    priceCents=100,
                )
            await until(alice, part["id"], lambda order: order["filledShares"] == 4)
            await stack.stop("exchange")
            shutil.rmtree(stack.home.root / "exchange")
            await stack.start("exchange")

            asked: dict[str, Order] = {}

            async def all_asked() -> None:
                answer = await alice.http.delete("/orders")
                assert answer.status_code in (200, 207), answer.text
                items = by_id(answer.json()["items"])
                asked.update(items)
                assert {one["status"] for one in items.values()} <= {200, 202}, items

            await eventually(all_asked, "all are asked to be cancelled")
            orders = [await ended(alice, one["id"], "cancelled") for one in (whole, part)]
            held = await held_cents(alice)
            after = await placed(alice, MARKET)
            await ended(alice, after["id"], "filled")

    assert set(asked) == {whole["id"], part["id"]}
    assert [order["filledShares"] for order in orders] == [0, 4]
    assert {order["reason"] for order in orders} == {"unknown-at-exchange"}
    assert held == 0
