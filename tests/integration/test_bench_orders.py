"""The load generator against a whole stack: its requests are orders, and its streams tell them."""

from typing import Literal

from bench.load import Listed, LoadSpec, measure
from devstack.stack import DevStack
from tests.support.accounts import fetch_token
from tests.support.eventually import eventually
from tests.support.exchange_rules import exchange_of, executions_of, recorded

SECONDS = 1.0
RATE = 10.0
LISTED = [Listed("SPY", 16_700), Listed("BAC", 1_380)]


async def spec(
    stack: DevStack, prefix: str, kind: Literal["place", "cancel"], *, watched: bool = False
) -> LoadSpec:
    # One each: a user's second order would sell what the first may not have bought yet.
    names = [f"{prefix}-{number}" for number in range(int(RATE * SECONDS))]
    tokens = [await fetch_token(stack.api_url, name) for name in names]
    return LoadSpec(
        kind=kind,
        seconds=SECONDS,
        rate=RATE,
        watched=watched,
        api_url=stack.api_url,
        tokens=tokens,
        listed=LISTED,
    )


async def test_every_execution_of_a_watched_load_arrives_at_its_owner(stack: DevStack) -> None:
    result = await measure(await spec(stack, "bench-watched", "place", watched=True))

    assert result.samples.endings.keys() <= {"201", "202"}
    assert result.order_ids
    async with exchange_of(stack) as exchange:
        for order_id in result.order_ids:
            theirs = await recorded(exchange, order_id)
            assert theirs is not None
            for execution in await executions_of(exchange, theirs["orderId"]):
                assert result.arrived_ms[execution["executionId"]] >= execution["atMs"]
    assert len(result.arrived_ms) >= len(result.order_ids)


async def test_a_load_of_cancels_ends_what_it_placed(stack: DevStack) -> None:
    result = await measure(await spec(stack, "bench-cancelling", "cancel"))

    assert result.samples.endings.keys() <= {"200", "202"}
    assert sum(result.samples.endings.values()) == len(result.order_ids) > 0
    async with exchange_of(stack) as exchange:

        async def all_are_cancelled() -> None:
            for order_id in result.order_ids:
                theirs = await recorded(exchange, order_id)
                assert theirs is not None
                assert theirs["status"] == "cancelled"

        await eventually(all_are_cancelled, "every order is cancelled")
