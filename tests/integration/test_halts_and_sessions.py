"""Halts and closed markets on the whole stack: refused without a trace, cancels always pass."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import httpx
import pytest

from devstack.roles import owner_among
from devstack.stack import DevStack
from tests.support.accounts import account
from tests.support.answers import refused
from tests.support.eventually import eventually
from tests.support.exchange_member import Member, member_of
from tests.support.market_hours import clock_says, closed, halted
from tests.support.price_watch import killed
from tests.support.trading import RESTING, answered, cancelled, decided, place, placed

HALTED, OTHER = "QQQ", "SPY"
FAR_BELOW = RESTING | {"symbol": HALTED}
ELSEWHERE = RESTING | {"symbol": OTHER}


@pytest.fixture
async def exchange(stack: DevStack) -> AsyncIterator[Member]:
    async with member_of(stack.exchange_url) as member:
        yield member


def new_key() -> str:
    return str(uuid4())


async def test_halted_symbol_is_refused_without_a_trace_and_taken_again_when_it_resumes(
    stack: DevStack, exchange: Member
) -> None:
    key, known_key = new_key(), new_key()
    async with account(stack.api_url) as alice:
        known = await answered(alice, FAR_BELOW, 201, known_key)
        async with halted(exchange, alice, HALTED):
            await refused(lambda: place(alice, FAR_BELOW, key), "symbol-halted")
            await refused(
                lambda: alice.http.post("/order/preview", json=FAR_BELOW), "symbol-halted"
            )
            replayed = await answered(alice, FAR_BELOW, 201, known_key)
            await placed(alice, ELSEWHERE)
            found = await alice.http.get("/orders", params={"idempotencyKey": key})
            gone = await cancelled(alice, known.json()["id"])
        taken = await placed(alice, FAR_BELOW, key)

    assert found.json()["items"] == []
    assert replayed.headers["idempotent-replayed"] == "true"
    assert replayed.content == known.content
    assert gone["status"] == "cancelled"
    assert taken["status"] == "submitted"


async def test_closed_market_takes_no_order_and_every_cancel_until_it_opens(
    stack: DevStack, exchange: Member
) -> None:
    key = new_key()
    async with account(stack.api_url) as alice:
        resting = await placed(alice, ELSEWHERE)
        async with closed(exchange, alice):
            await refused(lambda: place(alice, ELSEWHERE, key), "market-closed")
            found = await alice.http.get("/orders", params={"idempotencyKey": key})
            gone = await cancelled(alice, resting["id"])
        await placed(alice, ELSEWHERE, key)

    assert found.json()["items"] == []
    assert gone["status"] == "cancelled"


async def test_order_that_a_halt_overtakes_keeps_the_refusal_of_the_exchange(
    stack: DevStack, exchange: Member
) -> None:
    async with account(stack.api_url) as alice:

        async def overtaken() -> tuple[str, httpx.Response]:
            """The answer to an order that passed here, with its key; another order, if the silence
            was over before.
            """
            key = new_key()
            # Shorter than what a feed or a node would call silence: they go on with what they know.
            silence = {"action": "silence", "seconds": 2.0, "member": "sherwood"}
            await exchange.control("feed", **silence)
            await exchange.control("halts", symbol=HALTED)
            try:
                answer = await place(alice, FAR_BELOW, key)
                assert answer.status_code != 503, answer.text
                answer = await decided(alice, FAR_BELOW, key)
            finally:
                await exchange.control("halts", symbol=HALTED, halted=False)
                await clock_says(alice, halted=[], feed="live")
            return key, answer

        key, answer = await eventually(overtaken, "a halt overtakes an order", 120)
        again = await answered(alice, FAR_BELOW, answer.status_code, key)

    body = answer.json()
    assert (answer.status_code, body["code"]) == (422, "refused-by-exchange"), body
    assert (body["order"]["status"], body["order"]["reason"]) == ("rejected", "halted")
    assert again.content == answer.content


async def test_what_is_halted_is_known_though_nats_the_feed_or_the_node_was_killed_meanwhile(
    stack: DevStack, exchange: Member
) -> None:
    key = new_key()
    async with account(stack.api_url) as alice, halted(exchange, alice, HALTED):
        for name in ("nats", "feed", "api"):
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(killed(stack, await owner_among(stack.rows(), name)))
                # Who knows it was not told by what was said before.
                async with halted(exchange, alice, OTHER, beside=HALTED):
                    await refused(lambda: place(alice, FAR_BELOW, key), "symbol-halted")


async def test_halt_outlives_the_exchange(stack: DevStack, exchange: Member) -> None:
    key = new_key()
    async with account(stack.api_url) as alice, halted(exchange, alice, HALTED):
        await killed(stack, "exchange")
        await clock_says(alice, feed="live", halted=[HALTED])
        await refused(lambda: place(alice, FAR_BELOW, key), "symbol-halted")
