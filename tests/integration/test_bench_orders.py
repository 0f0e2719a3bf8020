"""The load generator against a whole stack: its requests are orders, and its streams tell them."""

from typing import Literal
from uuid import uuid4

import pytest

from bench import loops, order_streams
from bench.load import Listed, LoadResult, LoadSpec, measure
from devstack.stack import DevStack
from tests.support.accounts import fetch_token
from tests.support.eventually import eventually
from tests.support.exchange_rules import exchange_of, executions_of, recorded

SECONDS = 1.0
RATE = 10.0
LISTED = [Listed("SPY", 16_700), Listed("BAC", 1_380)]


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes late on a busy machine is late, not missing."""
    monkeypatch.setattr(loops, "ANSWER_SECONDS", 60.0)
    monkeypatch.setattr(order_streams, "OPEN_SECONDS", 60.0)
    monkeypatch.setattr(order_streams, "LAST_SECONDS", 60.0)


async def load(
    stack: DevStack, kind: Literal["place", "cancel"], *, watched: bool = False
) -> LoadResult:
    """What a load came to of which the node had to turn nothing away as more than it can do now."""

    async def attempt() -> LoadResult:
        # One each: a user's second order would sell what the first may not have bought yet.
        prefix = f"bench-{uuid4().hex[:8]}"
        names = [f"{prefix}-{number}" for number in range(int(RATE * SECONDS))]
        tokens = [await fetch_token(stack.api_url, name) for name in names]
        spec = LoadSpec(
            kind=kind,
            seconds=SECONDS,
            rate=RATE,
            watched=watched,
            api_url=stack.api_url,
            tokens=tokens,
            listed=LISTED,
        )
        result = await measure(spec)
        assert "503" not in result.samples.endings, result.samples.endings
        assert result.order_ids
        return result

    result: LoadResult = await eventually(attempt, "the node has time for a load", 240.0)
    return result


async def test_every_execution_of_a_watched_load_arrives_at_its_owner(stack: DevStack) -> None:
    result = await load(stack, "place", watched=True)

    assert result.samples.endings.keys() <= {"201", "202"}
    async with exchange_of(stack) as exchange:
        for order_id in result.order_ids:
            theirs = await recorded(exchange, order_id)
            assert theirs is not None
            for execution in await executions_of(exchange, theirs["orderId"]):
                assert result.arrived_ms[execution["executionId"]] >= execution["atMs"]
    assert len(result.arrived_ms) >= len(result.order_ids)


async def test_a_load_of_cancels_ends_what_it_placed(stack: DevStack) -> None:
    result = await load(stack, "cancel")

    assert result.samples.endings.keys() <= {"200", "202"}
    assert sum(result.samples.endings.values()) == len(result.order_ids) > 0
    async with exchange_of(stack) as exchange:

        async def all_are_cancelled() -> None:
            for order_id in result.order_ids:
                theirs = await recorded(exchange, order_id)
                assert theirs is not None
                assert theirs["status"] == "cancelled"

        await eventually(all_are_cancelled, "every order is cancelled", 60.0)
