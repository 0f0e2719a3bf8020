"""Each of our stores is lost while orders run. One command later everything goes on: nothing is
booked twice, nothing is missed, and no customer's order is placed again.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from uuid import uuid4

import pytest

from brokerage.bus.connection import Bus, open_bus
from brokerage.bus.execution_streams import execution_streams
from brokerage.contracts.ids import order_id_for
from brokerage.contracts.subjects import EXECUTIONS_STREAM
from devstack.errors import StackError
from devstack.stack import DevStack
from tests.support.accounts import account
from tests.support.eventually import eventually
from tests.support.exchange_rules import control, exchange_of, rule
from tests.support.losses import adds_up, open_for_orders, recover, without_what_it_stored
from tests.support.trading import MARKET, RESTING, ended, place, placed, read, until


@pytest.fixture(scope="module")
async def own_stack() -> AsyncIterator[DevStack]:
    """Every process, and servers that may lose what they have."""
    async with DevStack.temporary() as stack:
        await stack.wait_ready()
        yield stack


async def test_temporal_without_its_store_runs_every_order_again_from_its_row(
    own_stack: DevStack,
) -> None:
    stack = own_stack
    async with (
        account(stack.api_url) as alice,
        exchange_of(stack) as exchange,
        AsyncExitStack() as rules,
    ):
        filling = await placed(alice, {**RESTING, "numShares": 10})
        resting = await placed(alice, RESTING)
        leaving = await placed(alice, RESTING)
        await rules.enter_async_context(rule(exchange, "cancel", leaving["id"], "error"))
        asked = await alice.http.delete(f"/order/{leaving['id']}")
        key = str(uuid4())
        unknown_id = order_id_for(alice.user, key)
        await rules.enter_async_context(rule(exchange, "place", unknown_id, "accept-then-drop"))
        await rules.enter_async_context(rule(exchange, "query", unknown_id, "error"))
        unknown = await place(alice, RESTING, key)

        async with without_what_it_stored(stack, "temporal"):
            for _ in range(2):
                await control(
                    exchange,
                    "executions",
                    orderId=filling["externalOrderId"],
                    shares=2,
                    priceCents=100,
                )
            away = await place(alice, RESTING)
        said = await recover(stack, "temporal")
        repeated = await recover(stack, "temporal")
        await rules.aclose()

        filled = await until(alice, filling["id"], lambda order: order["filledShares"] == 4)
        await ended(alice, leaving["id"], "cancelled")
        await until(alice, unknown_id, lambda order: order["status"] == "submitted")
        cancelled = [
            (await alice.http.delete(f"/order/{order_id}")).status_code
            for order_id in (filling["id"], resting["id"], unknown_id)
        ]
        after = await placed(alice, MARKET)
        await ended(alice, after["id"], "filled")
        await adds_up(stack)

    assert (asked.status_code, unknown.status_code, away.status_code) == (202, 202, 503)
    assert "search attributes are there" in said
    # A fill that came meanwhile has started one of them.
    assert "orders with a run: 4" in said
    assert "0 runs started from their rows, 4 were there already" in repeated
    assert cancelled == [200, 200, 200]
    assert filled["status"] == "partially_filled"


async def test_jetstream_without_its_store_gets_back_all_that_is_not_booked(
    own_stack: DevStack,
) -> None:
    stack = own_stack
    async with account(stack.api_url) as alice, exchange_of(stack) as exchange:
        order = await placed(alice, {**RESTING, "numShares": 10})

        async def execute(*shares: int) -> None:
            external = order["externalOrderId"]
            for count in shares:
                await control(
                    exchange, "executions", orderId=external, shares=count, priceCents=100
                )

        await execute(1)
        await until(alice, order["id"], lambda order: order["filledShares"] == 1)
        # Two are stored and not booked when the store goes, one comes meanwhile.
        await stack.stop("executions")
        await execute(1, 1)
        async with without_what_it_stored(stack, "nats"):
            await execute(1)
        await stack.start("executions")
        said = await recover(stack, "jetstream")
        got = await read(alice, order["id"])
        closed = await place(alice, RESTING)
        await open_for_orders(stack)
        await placed(alice, RESTING)
        await adds_up(stack)

    assert "done:" in said
    assert "no order passes" in said
    assert (closed.status_code, closed.json()["code"]) == (503, "kill-switch")
    assert got["filledShares"] == 4


async def test_executions_that_a_stream_lacks_are_replayed_by_the_exchange(
    own_stack: DevStack,
) -> None:
    stack = own_stack
    async with account(stack.api_url) as alice, exchange_of(stack) as exchange:
        order = await placed(alice, {**RESTING, "numShares": 10})
        await stack.stop("executions")
        async with open_bus(stack.env["SHERWOOD_NATS_URL"], "test") as bus:
            before = await execution_streams(bus)
            for _ in range(3):
                await control(
                    exchange,
                    "executions",
                    orderId=order["externalOrderId"],
                    shares=1,
                    priceCents=100,
                )
            await eventually(
                lambda: stored_after(bus, before.last_feed_seq + 2), "the stream has all three"
            )
            # As a copy of the store that was taken in between would have it.
            await bus.jetstream.purge_stream(EXECUTIONS_STREAM, keep=1)
        await stack.start("executions")
        said = await recover(stack, "jetstream")
        got = await read(alice, order["id"])
        await adds_up(stack)

    assert "the stream of executions lacked some" in said
    assert got["filledShares"] == 3


async def stored_after(bus: Bus, feed_seq: int) -> bool:
    return (await execution_streams(bus)).last_feed_seq > feed_seq


async def test_jetstream_is_not_recovered_without_a_feed(own_stack: DevStack) -> None:
    stack = own_stack
    for name in ("feed-1", "feed-2"):
        await stack.stop(name)
    try:
        with pytest.raises(StackError, match="no feed runs"):
            await recover(stack, "jetstream")
    finally:
        for name in ("feed-1", "feed-2"):
            await stack.start(name)
