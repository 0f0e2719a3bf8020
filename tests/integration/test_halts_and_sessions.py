"""Halts and closed markets on the whole stack: refused without a trace, cancels always pass."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import httpx
import pytest

from devstack.roles import owner_among
from devstack.stack import DevStack
from tests.support.accounts import account
from tests.support.exchange_member import Member, member_of
from tests.support.market_hours import clock_says, closed, halted
from tests.support.price_watch import killed
from tests.support.trading import RESTING, place

HALTED, OTHER = "QQQ", "SPY"
FAR_BELOW = RESTING | {"symbol": HALTED}
ELSEWHERE = RESTING | {"symbol": OTHER}


@pytest.fixture
async def exchange(stack: DevStack) -> AsyncIterator[Member]:
    async with member_of(stack.exchange_url) as member:
        yield member


def new_key() -> str:
    return str(uuid4())


def assert_refused(answer: httpx.Response, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (503, code), answer.text
    assert answer.json()["retryable"] is True
    assert answer.headers["retry-after"] == "30"


async def test_halted_symbol_is_refused_without_a_trace_and_taken_again_when_it_resumes(
    stack: DevStack, exchange: Member
) -> None:
    key, known_key = new_key(), new_key()
    async with account(stack.api_url) as alice:
        known = await place(alice, FAR_BELOW, known_key)
        async with halted(exchange, alice, HALTED):
            refused = await place(alice, FAR_BELOW, key)
            previewed = await alice.http.post("/order/preview", json=FAR_BELOW)
            replayed = await place(alice, FAR_BELOW, known_key)
            elsewhere = await place(alice, ELSEWHERE)
            found = await alice.http.get("/orders", params={"idempotencyKey": key})
            cancelled = await alice.http.delete(f"/order/{known.json()['id']}")
        taken = await place(alice, FAR_BELOW, key)

    assert_refused(refused, "symbol-halted")
    assert_refused(previewed, "symbol-halted")
    assert found.json()["items"] == []
    assert (replayed.status_code, replayed.headers["idempotent-replayed"]) == (201, "true")
    assert replayed.content == known.content
    assert elsewhere.status_code == 201
    assert (cancelled.status_code, cancelled.json()["order"]["status"]) == (200, "cancelled")
    assert (taken.status_code, taken.json()["status"]) == (201, "submitted")


async def test_closed_market_takes_no_order_and_every_cancel_until_it_opens(
    stack: DevStack, exchange: Member
) -> None:
    key = new_key()
    async with account(stack.api_url) as alice:
        resting = await place(alice, ELSEWHERE)
        async with closed(exchange, alice):
            refused = await place(alice, ELSEWHERE, key)
            found = await alice.http.get("/orders", params={"idempotencyKey": key})
            cancelled = await alice.http.delete(f"/order/{resting.json()['id']}")
        taken = await place(alice, ELSEWHERE, key)

    assert_refused(refused, "market-closed")
    assert found.json()["items"] == []
    assert (cancelled.status_code, cancelled.json()["order"]["status"]) == (200, "cancelled")
    assert taken.status_code == 201


async def test_order_that_a_halt_overtakes_keeps_the_refusal_of_the_exchange(
    stack: DevStack, exchange: Member
) -> None:
    key = new_key()
    async with account(stack.api_url) as alice:
        # Shorter than what a feed or a node would call silence: they go on with what they know.
        silence = {"action": "silence", "seconds": 2.0, "member": "sherwood"}
        await exchange.control("feed", **silence)
        await exchange.control("halts", symbol=HALTED)
        try:
            refused = await place(alice, FAR_BELOW, key)
        finally:
            await exchange.control("halts", symbol=HALTED, halted=False)
        await clock_says(alice, halted=[], feed="live")
        again = await place(alice, FAR_BELOW, key)

    body = refused.json()
    assert (refused.status_code, body["code"]) == (422, "refused-by-exchange"), body
    assert (body["order"]["status"], body["order"]["reason"]) == ("rejected", "halted")
    assert again.content == refused.content


async def test_what_is_halted_is_known_though_nats_the_feed_or_the_node_was_killed_meanwhile(
    stack: DevStack, exchange: Member
) -> None:
    async with account(stack.api_url) as alice, halted(exchange, alice, HALTED):
        for name in ("nats", "feed", "api"):
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(killed(stack, await owner_among(stack.rows(), name)))
                # Who knows it was not told by what was said before.
                async with halted(exchange, alice, OTHER, beside=HALTED):
                    assert_refused(await place(alice, FAR_BELOW), "symbol-halted")


async def test_halt_outlives_the_exchange(stack: DevStack, exchange: Member) -> None:
    async with account(stack.api_url) as alice, halted(exchange, alice, HALTED):
        await killed(stack, "exchange")
        await clock_says(alice, feed="live", halted=[HALTED])
        assert_refused(await place(alice, FAR_BELOW), "symbol-halted")
