"""No order stays `pending_cancel`: not without its workflow, its worker or its gateway."""

import asyncio
from typing import Any
from uuid import uuid4

from temporalio.client import Client

from brokerage.contracts.ids import order_id_for, workflow_id_for
from brokerage.runtime.settings import Settings
from brokerage.storage.pool import open_pool
from devstack.stack import DevStack
from tests.support.accounts import account
from tests.support.books import until_done
from tests.support.eventually import eventually
from tests.support.exchange_rules import exchange_of, recorded, rule, struck
from tests.support.trading import (
    MARKET,
    RESTING,
    ended,
    held_cents,
    kinds_of_events,
    place,
    placed,
    read,
)
from workers.sweep import sweep
from workflows.client import connect_temporal


async def temporal_of(stack: DevStack) -> Client:
    return await connect_temporal(stack.env["SHERWOOD_TEMPORAL_ADDRESS"], "default")


async def test_sweep_takes_over_a_cancel_whose_workflow_is_gone_and_no_other(
    stack: DevStack,
) -> None:
    temporal = await temporal_of(stack)
    async with (
        account(stack.api_url) as alice,
        exchange_of(stack) as exchange,
        open_pool(Settings(database_url=stack.env["SHERWOOD_DATABASE_URL"])) as pool,
    ):
        order_id = (await placed(alice, RESTING))["id"]
        handle = temporal.get_workflow_handle(workflow_id_for(order_id))
        async with rule(exchange, "cancel", order_id, "error") as fired:
            asked = await alice.http.delete(f"/order/{order_id}")
            await struck(fired)
            before = await handle.describe()
            await until_done(lambda: sweep(pool, temporal, quiet_seconds=0))
            after = await handle.describe()
            await handle.terminate()
            abandoned = await read(alice, order_id)
            # An attempt that was under way may end after the workflow, so the exchange still errs.
            found = await until_done(lambda: sweep(pool, temporal, quiet_seconds=0))
        await ended(alice, order_id, "cancelled")
        held = await held_cents(alice)

    assert (after.run_id, after.history_length) == (before.run_id, before.history_length)
    assert asked.status_code == 202
    assert abandoned["status"] == "pending_cancel"
    assert found >= 1
    assert held == 0


async def test_cancel_before_a_frozen_worker_is_not_claimed_to_be_on_record(
    stack: DevStack,
) -> None:
    async with account(stack.api_url) as alice:
        order_id = (await placed(alice, RESTING))["id"]
        stack.pause("orders-1")
        try:
            async with asyncio.TaskGroup() as tasks:
                one = tasks.create_task(alice.http.delete(f"/order/{order_id}"))
                everything = tasks.create_task(alice.http.delete("/orders"))
        finally:
            stack.resume("orders-1")

        async def is_gone() -> bool:
            return (await alice.http.delete(f"/order/{order_id}")).status_code == 200

        await eventually(is_gone, "a repeat finds it cancelled")

    assert (one.result().status_code, one.result().json()["code"]) == (503, "unavailable")
    [item] = everything.result().json()["items"]
    assert (everything.result().status_code, item["status"]) == (207, 503)
    assert item["code"] == "unavailable"


async def test_order_that_is_cancelled_before_it_was_sent_is_never_sent(stack: DevStack) -> None:
    key = str(uuid4())
    async with account(stack.api_url) as alice, exchange_of(stack) as exchange:
        order_id = order_id_for(alice.user, key)
        await stack.stop("gateway")
        try:
            unsent = await place(alice, RESTING, key)
            asked = await alice.http.delete(f"/order/{order_id}")
        finally:
            await stack.start("gateway")
        order = await ended(alice, order_id, "cancelled")
        theirs = await recorded(exchange, order_id)
        kinds = await kinds_of_events(stack, order_id)
        held = await held_cents(alice)

    assert (unsent.status_code, asked.status_code) == (202, 202)
    assert (order["reason"], order["externalOrderId"]) == ("cancelled-before-sent", None)
    assert theirs is None
    assert kinds == ["placed", "cancel-requested", "cancelled"]
    assert held == 0


async def test_ioc_order_that_the_exchange_holds_back_is_asked_for_with_pauses(
    stack: DevStack,
) -> None:
    temporal = await temporal_of(stack)
    held_back: dict[str, Any] = {**MARKET, "timeInForce": "ioc"}
    key = str(uuid4())
    async with account(stack.api_url) as alice, exchange_of(stack) as exchange:
        order_id = order_id_for(alice.user, key)
        async with rule(exchange, "place", order_id, "late-fill", seconds=2):
            await placed(alice, held_back, key)
            await ended(alice, order_id, "filled")
    history = await temporal.get_workflow_handle(workflow_id_for(order_id)).fetch_history()

    assert len(history.events) < 40
