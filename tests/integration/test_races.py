"""The races of an order's life, each made to happen between a whole stack and its exchange.

The rows are the industry's list (FIX 4.4 appendix D and the brokers around it): cancel against fill
and fill against acknowledgement here; what comes twice, out of order, too late or too much, is lost
on the way, or was placed by nobody here, in `test_races_of_the_feed.py`. One row has no test: there
is no replace here, so none can meet a fill. What guards a change against another one, the order's
version, is held by `tests/integration/test_books_versions.py`.

Every test proves that its race happened, and ends with the same comparison: the order, the money
and the exchange's record agree.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import uuid4

import pytest

from brokerage.contracts.ids import order_id_for
from devstack.stack import DevStack
from tests.support.away import away
from tests.support.eventually import eventually
from tests.support.exchange_rules import recorded, rule, struck
from tests.support.race import PRICE_CENTS, TEN, Scene, balances, race
from tests.support.trading import (
    Order,
    asked_to_cancel,
    assert_unknown,
    at_database,
    cancelled,
    place,
    placed,
    read,
)


@pytest.fixture
async def scene(stack: DevStack) -> AsyncIterator[Scene]:
    async with race(stack) as scene:
        yield scene


# -- cancel against fill -----------------------------------------------------------------------


async def test_cancel_that_meets_a_full_fill_loses(scene: Scene) -> None:
    order = await placed(scene.alice, TEN)
    async with (
        rule(scene.exchange, "cancel", order["id"], "error") as fired,
        asyncio.TaskGroup() as tasks,
    ):
        asked = tasks.create_task(scene.cancel(order))
        await struck(fired)
        await scene.execute(order, 10)

    final = await scene.agrees(order, "filled", 10)
    answer = await scene.decided(order, asked.result())
    assert (answer.status_code, answer.json()["code"]) == (409, "too-late-to-cancel")
    assert answer.json()["order"] == final
    assert await scene.kinds(order) == ["placed", "submitted", "cancel-requested", "fill"]


async def test_full_fill_that_the_cancels_answer_overtakes_stays_held_and_wins(
    scene: Scene,
) -> None:
    order = await placed(scene.alice, TEN)
    # No silence of the feed: it would be heard again before a slow machine came so far.
    async with away(scene.stack, "executions"):
        await scene.execute(order, 10)
        asked = await asked_to_cancel(scene.alice, order["id"])
        await ending(scene, order)
        held = (await balances(scene.alice))["held"]

    await scene.agrees(order, "filled", 10)
    assert held == 10 * PRICE_CENTS
    assert asked.status_code == 202
    assert (await scene.decided(order, asked)).status_code == 409
    assert await scene.kinds(order) == ["placed", "submitted", "cancel-requested", "ending", "fill"]


async def ending(scene: Scene, order: Order) -> None:
    """Wait until the exchange's answer to the cancel is written down."""

    async def is_so() -> bool:
        return (await scene.kinds(order))[-1] == "ending"

    await eventually(is_so, "the exchange's answer is on record")


async def test_cancel_that_meets_a_partial_fill_keeps_it_and_frees_the_rest(scene: Scene) -> None:
    order = await placed(scene.alice, TEN)
    await scene.execute(order, 4)
    await scene.until(order, "partially_filled", 4)
    async with away(scene.stack, "executions"):
        await scene.execute(order, 2)
        asked = await asked_to_cancel(scene.alice, order["id"])
        await ending(scene, order)
        meanwhile = await read(scene.alice, order["id"])
        held = (await balances(scene.alice))["held"]

    await scene.agrees(order, "cancelled", 6)
    # The two that are executed and not booked stay held; the four that never will be are free.
    assert (meanwhile["status"], meanwhile["filledShares"], held) == (
        "pending_cancel",
        4,
        2 * PRICE_CENTS,
    )
    assert asked.status_code == 202
    assert (await scene.decided(order, asked)).status_code == 200


async def test_refused_cancel_leaves_the_order_as_live_as_it_was(scene: Scene) -> None:
    order = await placed(scene.alice, TEN)
    await scene.execute(order, 4)
    await scene.until(order, "partially_filled", 4)
    async with rule(scene.exchange, "cancel", order["id"], "refuse", times=1):
        kept = await scene.cancel(order)

        async def is_live() -> bool:
            return (await scene.kinds(order))[-1] == "cancel-refused"

        await eventually(is_live, "the order is live again")
    held = (await balances(scene.alice))["held"]
    await cancelled(scene.alice, order["id"])

    await scene.agrees(order, "cancelled", 4)
    if kept.status_code != 202:  # which it is where the exchange's answer took three seconds
        assert (kept.status_code, kept.json()["code"]) == (409, "cancel-refused")
        assert kept.json()["order"]["status"] == "partially_filled"
    assert held == 6 * PRICE_CENTS
    assert (await scene.kinds(order))[3:] == [
        "cancel-requested",
        "cancel-refused",
        "cancel-requested",
        "cancelled",
    ]


# -- before the acknowledgement ----------------------------------------------------------------


async def test_cancel_that_overtakes_its_order_keeps_it_from_ever_trading(scene: Scene) -> None:
    key = str(uuid4())
    order = {"id": order_id_for(scene.alice.user, key)}
    async with (
        # Every placement reaches the exchange's book six seconds after it was sent.
        rule(scene.exchange, "place", order["id"], "delay", seconds=6) as fired,
        asyncio.TaskGroup() as tasks,
    ):
        tasks.create_task(place(scene.alice, TEN, key))
        await struck(fired)
        await asked_to_cancel(scene.alice, order["id"])
        final = await scene.until(order, "cancelled")

        async def has_arrived() -> bool:
            return await recorded(scene.exchange, order["id"]) is not None

        before_arrival = not await has_arrived()
        await eventually(has_arrived, "the placement arrives after all")

    await scene.agrees(order, "cancelled", 0)
    theirs = await recorded(scene.exchange, order["id"])
    assert before_arrival
    assert theirs is not None
    assert theirs["status"] == "rejected"
    assert (final["externalOrderId"], final["reason"]) == (None, "cancelled-before-sent")
    assert await scene.kinds(order) == ["placed", "cancel-requested", "cancelled"]


async def test_fill_that_comes_before_the_acknowledgement_is_the_acknowledgement(
    scene: Scene,
) -> None:
    async def has_it() -> Order:
        theirs = await recorded(scene.exchange, order_id)
        assert theirs is not None
        return theirs

    for _ in range(10):
        key = str(uuid4())
        order_id = order_id_for(scene.alice.user, key)
        scene, began = replace(scene, before=await balances(scene.alice)), time.monotonic()
        async with (
            rule(scene.exchange, "place", order_id, "accept-then-hang", seconds=30) as fired,
            asyncio.TaskGroup() as tasks,
        ):
            asked = tasks.create_task(place(scene.alice, TEN, key))
            await struck(fired)
            theirs = await eventually(has_it, "the exchange has it")
            order = {"id": order_id, "externalOrderId": theirs["orderId"]}
            await scene.execute(order, 10)
            await scene.until(order, "filled", 10)
            took_seconds = time.monotonic() - began
        # After two calls of a second each, who asks what became of it may be answered first.
        if took_seconds < 2:
            break

    final = await scene.agrees(order, "filled", 10)
    # One transaction wrote both: no answer to a placement was needed.
    transactions = await at_database(
        scene.stack,
        "SELECT DISTINCT xmin::text FROM order_events "
        "WHERE order_id = $1 AND kind IN ('submitted', 'fill')",
        order_id,
    )
    assert len(transactions) == 1
    assert asked.result().status_code in (201, 202, 503)
    assert (final["outcome"], final["externalOrderId"]) == ("accepted", theirs["orderId"])
    assert await scene.kinds(order) == ["placed", "submitted", "fill"]


@pytest.mark.parametrize("action", ["hang", "accept-then-hang"])
async def test_placement_without_an_answer_in_time_is_one_order_all_the_same(
    scene: Scene, action: str
) -> None:
    key = str(uuid4())
    order = {"id": order_id_for(scene.alice.user, key)}
    # Twice: or the outcome could be known before the row is read for the answer.
    async with rule(scene.exchange, "place", order["id"], action, seconds=3, times=2):
        answer = await place(scene.alice, TEN, key)
        live = await scene.until(order, "submitted")
    theirs = await recorded(scene.exchange, order["id"])
    again = await placed(scene.alice, TEN, key)
    await cancelled(scene.alice, live["id"])

    await scene.agrees(order, "cancelled", 0)
    assert_unknown(answer)
    assert theirs is not None
    assert theirs["orderId"] == live["externalOrderId"]
    assert again["id"] == order["id"]
