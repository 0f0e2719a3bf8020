"""The load generator against a whole stack: its requests are orders, and its streams tell them."""

from typing import Literal

from bench.load import Listed, LoadSpec, measure
from devstack.stack import DevStack
from tests.support.accounts import fetch_token
from tests.support.exchange_rules import exchange_of, executions_of, recorded

SECONDS = 1.0
RATE = 10.0
LISTED = [Listed("SPY", 16_700), Listed("BAC", 1_380)]


async def spec(
    stack: DevStack, prefix: str, kind: Literal["place", "cancel"], *, watched: bool = False
) -> LoadSpec:
    tokens = [await fetch_token(stack.api_url, f"{prefix}-{number}") for number in range(5)]
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

    assert result.samples.endings == {"201": RATE * SECONDS}
    async with exchange_of(stack) as exchange:
        for order_id in result.order_ids:
            theirs = await recorded(exchange, order_id)
            assert theirs is not None
            for execution in await executions_of(exchange, theirs["orderId"]):
                assert result.arrived_ms[execution["executionId"]] >= execution["atMs"]
    assert len(result.arrived_ms) >= len(result.order_ids)


async def test_a_load_of_cancels_ends_what_it_placed(stack: DevStack) -> None:
    result = await measure(await spec(stack, "bench-cancelling", "cancel"))

    assert result.samples.endings == {"200": RATE * SECONDS}
    async with exchange_of(stack) as exchange:
        for order_id in result.order_ids:
            theirs = await recorded(exchange, order_id)
            assert theirs is not None
            assert theirs["status"] == "cancelled"
