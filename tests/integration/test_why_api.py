"""`GET /order/{id}/why` on the whole stack: every way in which an order can stand."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from brokerage.contracts.ids import order_id_for
from brokerage.contracts.views import format_time
from devstack.stack import DevStack
from exchange.protocol import Trade, TradingStatus
from tests.support.accounts import Account, account
from tests.support.away import away
from tests.support.eventually import eventually
from tests.support.exchange_member import Member, member_of
from tests.support.exchange_rules import MEMBER, exchange_of, feed_fault, rule, struck
from tests.support.market_hours import closed, halted
from tests.support.trading import END_SECONDS, MARKET, RESTING, ended, place, placed, until

SYMBOL = "DIA"
FAR_BELOW = RESTING | {"symbol": SYMBOL, "numShares": 10}


@pytest.fixture
async def exchange(stack: DevStack) -> AsyncIterator[Member]:
    async with member_of(stack.exchange_url) as member:
        yield member


async def why(alice: Account, order_id: str) -> dict[str, Any]:
    answer = await alice.http.get(f"/order/{order_id}/why")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def waits_for(alice: Account, order_id: str, code: str) -> dict[str, Any]:
    """The answer once the order waits for this."""
    seen: dict[str, Any] = {}

    async def so() -> bool:
        seen.update(await why(alice, order_id))
        return bool(seen["waitsFor"] == code)

    try:
        await eventually(so, f"the order waits for {code}", END_SECONDS)
    except AssertionError as error:
        raise AssertionError(f"last seen: {seen}") from error
    return seen


async def ask_to_cancel(alice: Account, order_id: str) -> None:
    """Ask until it is on record."""

    async def is_asked() -> bool:
        return (await alice.http.delete(f"/order/{order_id}")).status_code in (200, 202)

    await eventually(is_asked, "the cancel is on record", END_SECONDS)


async def test_best_price_since_a_resting_buy_is_the_lowest_that_the_exchange_traded(
    stack: DevStack, exchange: Member
) -> None:
    async with account(stack.api_url) as alice, exchange.feed() as feed:
        order = await placed(alice, FAR_BELOW)
        sent_ms = datetime.fromisoformat(order["createdAt"]).timestamp() * 1000

        def trades() -> list[Trade]:
            """Those whose second began after the order was sent."""
            mine = [trade for trade in feed.of(Trade) if trade.symbol == SYMBOL]
            return [trade for trade in mine if trade.at_ms - trade.at_ms % 1000 >= sent_ms]

        await feed.until(lambda: len(trades()) >= 3, 60)
        waiting = await waits_for(alice, order["id"], "price-not-reached")
        async with halted(exchange, alice, SYMBOL):
            await feed.until(lambda: bool(feed.of(TradingStatus)), 60)
            last_at = format_time(datetime.fromtimestamp(trades()[-1].at_ms / 1000, UTC))

            async def in_bars() -> bool:
                return bool((await why(alice, order["id"]))["traded"]["until"] >= last_at)

            await eventually(in_bars, "the last trade is in the bars")
            still = await waits_for(alice, order["id"], "symbol-halted")

    lowest = min(trade.price_cents for trade in trades())
    assert waiting["distanceInCents"] == waiting["bestPriceInCents"] - 100
    assert waiting["explanation"].endswith("from its $1.00.")
    assert (waiting["numShares"], waiting["leavesShares"], waiting["lastFillAt"]) == (10, 10, None)
    assert (still["waitsFor"], still["limitInCents"]) == ("symbol-halted", 100)
    assert (still["bestPriceInCents"], still["distanceInCents"]) == (lowest, lowest - 100)
    assert (still["lastPriceInCents"], still["lastPriceAt"]) == (trades()[-1].price_cents, last_at)
    assert still["traded"] == {
        "interval": "1s",
        "since": order["createdAt"],
        "until": still["traded"]["until"],
        "bestPriceInCents": lowest,
        "reachedVolume": 0,
        "missedVolume": 0,
    }


async def test_partly_filled_order_says_what_is_left_and_how_far_away_that_is(
    stack: DevStack, exchange: Member
) -> None:
    async with account(stack.api_url) as alice:
        order = await placed(alice, FAR_BELOW)
        external = order["externalOrderId"]
        await exchange.control("executions", orderId=external, priceCents=100, shares=3)
        await until(alice, order["id"], lambda seen: seen["filledShares"] == 3)
        found = await waits_for(alice, order["id"], "price-not-reached")

    assert (found["status"], found["filledShares"]) == ("partially_filled", 3)
    assert found["leavesShares"] == 7
    assert found["lastFillAt"] is not None
    assert found["lastFillAt"] > order["createdAt"]


async def test_order_that_came_after_what_traded_at_its_price_is_behind_others(
    stack: DevStack, exchange: Member
) -> None:
    key = str(uuid4())
    async with account(stack.api_url) as alice:
        order_id = order_id_for(alice.user, key)
        # Accepted, and kept from the book: what trades meanwhile goes to others.
        await exchange.control("plans", member=MEMBER, clientOrderId=order_id)
        collared = await placed(alice, MARKET | {"symbol": "SPY"}, key)

        async def is_missed() -> dict[str, Any]:
            found = await why(alice, order_id)
            assert found["traded"]["missedVolume"] > 0
            assert found["waitsFor"] == "reached-but-behind-others"
            return found

        found = await eventually(is_missed, "its price was traded at", END_SECONDS)
        await exchange.control(
            "executions",
            orderId=collared["externalOrderId"],
            priceCents=found["lastPriceInCents"],
            shares=collared["numShares"],
        )
        filled = await ended(alice, order_id, "filled")
        over = await why(alice, order_id)

    assert collared["priceInCents"] is None
    assert found["distanceInCents"] == 0
    assert found["limitInCents"] > found["bestPriceInCents"]
    assert f"{found['traded']['missedVolume']:,} shares traded" in found["explanation"]
    assert (over["waitsFor"], over["status"], over["leavesShares"]) == ("ended", "filled", 0)
    assert over["filledShares"] == filled["numShares"]


async def test_what_the_exchange_has_not_answered_is_waited_for(stack: DevStack) -> None:
    key = str(uuid4())
    async with account(stack.api_url) as alice, exchange_of(stack) as control:
        order_id = order_id_for(alice.user, key)
        async with (
            rule(control, "place", order_id, "accept-then-drop"),
            rule(control, "query", order_id, "error") as asked,
        ):

            async def is_unknown() -> bool:
                return (await place(alice, FAR_BELOW, key)).status_code == 202

            # On a machine too busy to put it on record it is placed again.
            await eventually(is_unknown, "its outcome is unknown")
            await waits_for(alice, order_id, "unknown-outcome")
            await struck(asked)
        await ended(alice, order_id, "submitted")
        async with rule(control, "cancel", order_id, "error") as refused:
            await ask_to_cancel(alice, order_id)
            cancelling = await waits_for(alice, order_id, "waiting-for-cancel")
            await struck(refused)
        await ended(alice, order_id, "cancelled")
        over = await why(alice, order_id)

    assert cancelling["status"] == "pending_cancel"
    assert (over["waitsFor"], over["reason"]) == ("ended", "cancelled by the member")


async def test_shares_executed_there_and_not_booked_here_are_waited_for(
    stack: DevStack, exchange: Member
) -> None:
    async with account(stack.api_url) as alice:
        order = await placed(alice, FAR_BELOW)
        async with away(stack, "executions"):
            external = order["externalOrderId"]
            await exchange.control("executions", orderId=external, priceCents=100, shares=3)
            await ask_to_cancel(alice, order["id"])
            found = await waits_for(alice, order["id"], "executions-missing")
        over = await ended(alice, order["id"], "cancelled")

    assert found["status"] == "pending_cancel"
    assert "3 shares" in found["explanation"]
    assert over["filledShares"] == 3


async def test_closed_market_and_silent_feed_are_named(stack: DevStack, exchange: Member) -> None:
    async with account(stack.api_url) as alice, exchange_of(stack) as control:
        order = await placed(alice, FAR_BELOW)
        async with closed(exchange, alice):
            await waits_for(alice, order["id"], "market-closed")
        async with feed_fault(control, "silence", seconds=60.0) as lift:
            silent = await waits_for(alice, order["id"], "feed-stale")
            await lift()

            async def is_heard_again() -> None:
                again = await why(alice, order["id"])
                assert again["waitsFor"] == "price-not-reached"
                assert again["lastPriceAt"] > silent["lastPriceAt"]

            await eventually(is_heard_again, "the feed is heard again", END_SECONDS)


async def test_order_of_somebody_else_looks_like_none(stack: DevStack) -> None:
    async with account(stack.api_url) as alice, account(stack.api_url) as bob:
        order = await placed(alice, FAR_BELOW)
        foreign = await bob.http.get(f"/order/{order['id']}/why")
        unknown = await bob.http.get(f"/order/{uuid4()}/why")
        none = await bob.http.get("/order/none/why")

    assert foreign.status_code == unknown.status_code == none.status_code == 404
    assert foreign.json() == unknown.json() == none.json()
    assert foreign.json()["code"] == "order-not-found"
