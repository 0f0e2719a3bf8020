"""The races between a whole stack and what the exchange's feed tells; see `test_races.py`."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from brokerage.bus.connection import open_bus
from brokerage.bus.executions import Parking
from devstack.stack import DevStack
from tests.support.eventually import eventually
from tests.support.exchange_rules import control, executions_of, feed_fault, recorded
from tests.support.race import PRICE_CENTS, TEN, Scene, balances, race
from tests.support.trading import at_database, cancelled, placed


@pytest.fixture
async def scene(stack: DevStack) -> AsyncIterator[Scene]:
    async with race(stack) as scene:
        yield scene


# -- what comes late, twice, swapped or too much -----------------------------------------------


@pytest.mark.parametrize("end", ["cancelled", "expired"])
async def test_fill_after_the_end_is_booked(scene: Scene, end: str) -> None:
    order = await placed(scene.alice, TEN)
    if end == "cancelled":
        await cancelled(scene.alice, order["id"])
    else:
        await control(scene.exchange, "ends", orderId=order["externalOrderId"], status="expired")
    await scene.until(order, end)
    await scene.execute(order, 4)
    await scene.until(order, end, 4)
    await scene.execute(order, 6)

    await scene.agrees(order, "filled", 10)
    assert (await scene.kinds(order))[-3:] == [end, "fill", "fill"]


async def test_fill_that_is_told_twice_is_booked_once(scene: Scene) -> None:
    order = await placed(scene.alice, TEN)
    async with feed_fault(scene.exchange, "duplicate", times=2):
        await scene.execute(order, 4)
        await scene.execute(order, 6)
        await scene.until(order, "filled", 10)

    await scene.agrees(order, "filled", 10)
    assert await scene.kinds(order) == ["placed", "submitted", "fill", "fill"]


async def test_fills_that_come_in_the_wrong_order_add_up(scene: Scene) -> None:
    order = await placed(scene.alice, TEN)
    async with feed_fault(scene.exchange, "reorder"):
        await scene.execute(order, 4, 99)
        await scene.execute(order, 6, 100)
        await scene.until(order, "filled", 10)

    final = await scene.agrees(order, "filled", 10)
    assert final["filledNotionalInCents"] == 4 * 99 + 6 * 100


async def test_overfill_is_the_firms_and_the_order_stays_at_its_shares(scene: Scene) -> None:
    order = await placed(scene.alice, TEN)
    await scene.execute(order, 8)
    await scene.execute(order, 5)
    await scene.until(order, "filled", 10)

    theirs = await recorded(scene.exchange, order["id"])
    assert theirs is not None
    assert theirs["cumulativeShares"] == 13
    rows = await at_database(
        scene.stack,
        "SELECT account, sum(amount)::bigint AS shares FROM ledger_entries "
        "WHERE order_id = $1 AND asset = 'IBM' GROUP BY account",
        order["id"],
    )
    assert {row["account"]: row["shares"] for row in rows} == {
        "user": 10,
        "error": 3,
        "clearing": -13,
    }
    assert await balances(scene.alice) == {
        "cash": scene.before["cash"] - 10 * PRICE_CENTS,
        "held": 0,
        "IBM": scene.before["IBM"] + 10,
    }


# -- what is lost on the way, and what nobody here placed --------------------------------------


@pytest.mark.parametrize("action", ["gap", "drop"])
async def test_fill_that_the_feed_loses_is_fetched(scene: Scene, action: str) -> None:
    order = await placed(scene.alice, TEN)
    async with feed_fault(scene.exchange, action):
        await scene.execute(order, 10)
        await scene.until(order, "filled", 10)

    await scene.agrees(order, "filled", 10)


async def test_execution_of_an_order_that_no_row_explains_is_kept_aside_through_a_restart(
    scene: Scene,
) -> None:
    # Placed in our name by something that is not this broker, or by one whose books were lost.
    placement: dict[str, Any] = {
        "clientOrderId": str(uuid4()),
        "account": "nobody",
        "symbol": "IBM",
        "side": "buy",
        "priceCents": PRICE_CENTS,
        "shares": 10,
        "sendByMs": 2**53,
    }
    foreign = (await scene.exchange.post("/v1/orders", json=placement)).json()["order"]["orderId"]
    await scene.execute({"externalOrderId": foreign}, 10)

    async with open_bus(scene.stack.env["SHERWOOD_NATS_URL"], "test") as bus:

        async def aside() -> bool:
            return [len(one.payload) > 0 for one in await Parking(bus).of(foreign, 10)] == [True]

        await eventually(aside, "the report is kept aside")
        await scene.stack.stop("executions")
        await scene.stack.start("executions")
        await eventually(aside, "the report is still kept aside")
    booked = await at_database(
        scene.stack,
        "SELECT FROM execution_reports WHERE report_id = ANY ($1)",
        [one["executionId"] for one in await executions_of(scene.exchange, foreign)],
    )
    assert booked == []
    assert await balances(scene.alice) == scene.before
