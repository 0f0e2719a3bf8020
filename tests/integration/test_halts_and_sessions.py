"""Halts and closed markets on the whole stack: refused without a trace, cancels always pass."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx
import pytest

from devstack.roles import owner_among
from devstack.stack import DevStack
from tests.support.accounts import Account, account
from tests.support.eventually import eventually
from tests.support.exchange_member import Member, member_of
from tests.support.price_watch import killed

HALTED, OTHER = "QQQ", "SPY"
FAR_BELOW: dict[str, Any] = {
    "position": "buy",
    "symbol": HALTED,
    "priceInCents": 100,
    "numShares": 1,
    "timeInForce": "gtc",
}
ELSEWHERE: dict[str, Any] = {**FAR_BELOW, "symbol": OTHER}


@pytest.fixture
async def exchange(stack: DevStack) -> AsyncIterator[Member]:
    async with member_of(stack.exchange_url) as member:
        yield member


async def place(alice: Account, body: dict[str, Any], key: str | None = None) -> httpx.Response:
    return await alice.http.post("/order", json=body, headers={"idempotency-key": key or new_key()})


def new_key() -> str:
    return str(uuid4())


async def clock_says(alice: Account, **expected: Any) -> None:
    """Return once the node's clock has all of this."""
    seen: dict[str, Any] = {}

    async def so() -> bool:
        try:
            seen.update((await alice.http.get("/clock")).json())
        except httpx.TransportError as error:
            raise AssertionError("the node is away") from error
        return expected.items() <= seen.items()

    try:
        await eventually(so, f"the clock says {expected}", 60)
    except AssertionError as error:
        raise AssertionError(f"last seen: {seen}") from error


@asynccontextmanager
async def halted(exchange: Member, alice: Account) -> AsyncIterator[None]:
    """One symbol is halted for the block, none after it; the node knows of both."""
    await exchange.control("halts", symbol=HALTED)
    try:
        await clock_says(alice, halted=[HALTED])
        yield
    finally:
        for symbol in (HALTED, OTHER):
            await exchange.control("halts", symbol=symbol, halted=False)
        await clock_says(alice, halted=[])


@asynccontextmanager
async def closed(exchange: Member, alice: Account) -> AsyncIterator[None]:
    """The market is closed for the block; the node knows of its begin and its end."""
    await exchange.control("sessions", sessions="closed")
    try:
        await clock_says(alice, isOpen=False)
        yield
    finally:
        await exchange.control("sessions", sessions="off")
        await clock_says(alice, isOpen=True)


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
        async with halted(exchange, alice):
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
    changes = (("nats", [HALTED, OTHER]), ("feed", [HALTED]), ("api", [HALTED, OTHER]))
    async with (
        account(stack.api_url) as alice,
        halted(exchange, alice),
        asyncio.TaskGroup() as tasks,
    ):
        for name, symbols in changes:
            back = tasks.create_task(killed(stack, await owner_among(stack.rows(), name)))
            await exchange.control("halts", symbol=OTHER, halted=OTHER in symbols)
            await clock_says(alice, feed="live", halted=symbols)
            assert_refused(await place(alice, FAR_BELOW), "symbol-halted")
            await back


async def test_halt_outlives_the_exchange(stack: DevStack, exchange: Member) -> None:
    async with account(stack.api_url) as alice, halted(exchange, alice):
        await killed(stack, "exchange")
        await clock_says(alice, feed="live", halted=[HALTED])
        assert_refused(await place(alice, FAR_BELOW), "symbol-halted")
