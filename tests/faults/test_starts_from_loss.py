"""Each of our stores is lost while orders run. One command later everything goes on: nothing is
booked twice, nothing is missed, and no customer's order is placed again.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import httpx
import pytest

from brokerage.bus.connection import Bus, open_bus
from brokerage.bus.execution_streams import execution_streams
from brokerage.contracts.ids import order_id_for
from brokerage.contracts.subjects import EXECUTIONS_STREAM
from brokerage.runtime.settings import Settings
from brokerage.storage.pool import open_pool
from brokerage.storage.trail_reads import verify_orders
from devstack import backups
from devstack.errors import StackError
from devstack.stack import DevStack
from tests.support.accounts import Account, account
from tests.support.eventually import eventually
from tests.support.exchange_rules import control, exchange_of, rule, struck
from tests.support.losses import (
    adds_up,
    closed,
    open_for_orders,
    put_back,
    recover,
    without_what_it_stored,
)
from tests.support.trading import (
    MARKET,
    RESTING,
    Order,
    answered,
    cancelled,
    ended,
    place,
    placed,
    read,
    standing,
    until,
)
from workers.recover import postgres

FEEDS: Final = ("feed-1", "feed-2")


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

        async def taken_up() -> bool:
            return (await alice.http.delete(f"/order/{leaving['id']}")).status_code == 202

        await eventually(taken_up, "the cancel is on record, and the exchange has not answered")
        key = str(uuid4())
        unknown_id = order_id_for(alice.user, key)
        await rules.enter_async_context(rule(exchange, "place", unknown_id, "accept-then-drop"))
        asked_for = await rules.enter_async_context(rule(exchange, "query", unknown_id, "error"))
        await answered(alice, RESTING, 202, key)

        async with without_what_it_stored(stack, "temporal"):
            for _ in range(2):
                await control(
                    exchange,
                    "executions",
                    orderId=filling["externalOrderId"],
                    shares=2,
                    priceCents=100,
                )
            # Of another symbol: the order whose outcome is unknown may still have its turn.
            away = await place(alice, {**RESTING, "symbol": "SPY"})
        said = await recover(stack, "temporal")
        repeated = await recover(stack, "temporal")
        await struck(asked_for)
        await rules.aclose()

        filled = await until(alice, filling["id"], lambda order: order["filledShares"] == 4)
        await ended(alice, leaving["id"], "cancelled")
        await until(alice, unknown_id, lambda order: order["status"] == "submitted")
        for order_id in (filling["id"], resting["id"], unknown_id):
            await cancelled(alice, order_id)
        after = await placed(alice, MARKET)
        await ended(alice, after["id"], "filled")
        await adds_up(stack)

    assert away.status_code == 503
    assert "search attributes are there" in said
    # A fill that came meanwhile has started one of them.
    assert "orders with a run: 4" in said
    assert "0 runs started from their rows, 4 were there already" in repeated
    assert filled["status"] == "partially_filled"


async def test_jetstream_without_its_store_gets_back_all_that_is_not_booked(
    own_stack: DevStack,
) -> None:
    stack = own_stack
    async with (
        account(stack.api_url) as alice,
        account(stack.api_url, scope="operator") as operator,
        exchange_of(stack) as exchange,
    ):
        order = await placed(alice, {**RESTING, "numShares": 10})

        async def asked_about() -> dict[str, Any]:
            told = await standing(operator, order["id"])
            # Every process has found the new server by then.
            assert (told["exchange"]["answer"], told["switchLevel"]) == ("found", None)
            return told

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
        async with open_bus(stack.env["SHERWOOD_NATS_URL"], "test") as bus:
            before = (await execution_streams(bus)).last_feed_seq
            await execute(1, 1)
            await eventually(lambda: stored_after(bus, before + 1), "both are stored")
        # Who makes the streams anew, as soon as the feed finds the server, is not asked yet.
        for feed in FEEDS:
            await stack.stop(feed)
        async with without_what_it_stored(stack, "nats"):
            await execute(1)
        lost = await eventually(asked_about, "the order can be asked about")
        for name in (*FEEDS, "executions"):
            await stack.start(name)
        said = await recover(stack, "jetstream")
        got = await read(alice, order["id"])
        closed = await answered(alice, RESTING, 503)
        await open_for_orders(stack)
        await placed(alice, RESTING)
        await adds_up(stack)

    assert (lost["nextAct"], lost["parkedReports"]) == ("start-part", None)
    assert "done:" in said
    assert "no order passes" in said
    assert closed.json()["code"] == "kill-switch"
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


SELL_ALL: Final[Order] = {"position": "sell", "symbol": "SPY", "numShares": 100}
"""All that a development account has of it."""


def resting(price_cents: int, shares: int) -> Order:
    return {**RESTING, "priceInCents": price_cents, "numShares": shares}


async def test_postgres_from_an_older_backup_gets_back_what_happened_since(
    own_stack: DevStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = own_stack
    backup = tmp_path / "backup"
    async with (
        account(stack.api_url) as alice,
        account(stack.api_url) as bob,
        exchange_of(stack) as exchange,
        AsyncExitStack() as later,
    ):

        async def execute(order: Order, shares: int) -> None:
            external = order["externalOrderId"]
            await control(exchange, "executions", orderId=external, shares=shares, priceCents=100)

        old = await placed(alice, resting(100, 10))
        await execute(old, 1)
        await until(alice, old["id"], lambda order: order["filledShares"] == 1)
        # All of her cash but a little, so that what she does next needs what happened before it.
        hoarding = await placed(alice, resting(100, 95_000))
        await backups.back_up(stack.settings, stack.home, backup)

        await execute(old, 2)
        await until(alice, old["id"], lambda order: order["filledShares"] == 3)
        await cancelled(alice, hoarding["id"])
        keys = [str(uuid4()) for _ in range(6)]
        sold = await placed(alice, SELL_ALL, keys[0])
        await ended(alice, sold["id"], "filled")
        bought = await placed(alice, resting(110, 100_000), keys[1])
        await execute(bought, 5)
        await until(alice, bought["id"], lambda order: order["filledShares"] == 5)
        gone = await placed(bob, resting(100, 7), keys[2])
        await cancelled(bob, gone["id"])
        refused_id = order_id_for(bob.user, keys[3])
        async with rule(exchange, "place", refused_id, "refuse"):
            await answered(bob, RESTING, 422, keys[3])
        await answered(bob, resting(120, 99_999), 422, keys[4])
        carol = await later.enter_async_context(account(stack.api_url))
        hers = await placed(carol, MARKET, keys[5])
        await ended(carol, hers["id"], "filled")
        before = [await holdings(one) for one in (alice, bob, carol)]
        sent = await orders_there(exchange)
        with pytest.raises(StackError, match=r"a gateway (runs|listens)"):
            await recover(stack, "postgres")

        async with closed(stack):
            await put_back(stack, backup)
            await execute(old, 1)
            said = await recover(stack, "postgres")
            monkeypatch.setattr(postgres, "QUIET_SECONDS", 0)
            repeated: list[str] = []
            await postgres.recover_postgres(settings_of(stack), repeated.append)
        await adds_up(stack)
        after = [await holdings(one) for one in (alice, bob, carol)]
        found = await bob.http.get("/orders", params={"idempotencyKey": keys[2]})
        other = await answered(alice, resting(111, 100_000), 422, keys[1])
        again = [
            await answered(alice, SELL_ALL, 201, keys[0]),
            await answered(alice, resting(110, 100_000), 201, keys[1]),
            await answered(bob, resting(100, 7), 201, keys[2]),
            await answered(bob, RESTING, 422, keys[3]),
            await answered(bob, resting(120, 99_999), 422, keys[4]),
            await answered(carol, MARKET, 201, keys[5]),
        ]
        there_now = await orders_there(exchange)
        await cancelled(alice, bought["id"])
        await adds_up(stack)
        async with open_pool(settings_of(stack)) as pool:
            tampered = (await verify_orders(pool, limit=1_000)).tampered

    assert "5 are missing here" in said
    assert "0 orders came back, 0 reports were booked again" in repeated
    assert tampered == ()
    # One more share came meanwhile.
    before[0]["cash"] -= 100
    before[0]["held"] -= 100
    before[0]["IBM"] += 1
    assert after == before
    assert [order["id"] for order in found.json()["items"]] == [gone["id"]]
    assert other.json()["code"] == "idempotency-key-reused"
    assert [again[n].json()["id"] for n in (0, 1, 2, 5)] == [
        order["id"] for order in (sold, bought, gone, hers)
    ]
    assert again[3].json()["order"]["id"] == refused_id
    assert there_now == sent


def settings_of(stack: DevStack) -> Settings:
    return Settings(
        environment="development",
        database_url=stack.env["SHERWOOD_DATABASE_URL"],
        nats_url=stack.env["SHERWOOD_NATS_URL"],
        temporal_address=stack.env["SHERWOOD_TEMPORAL_ADDRESS"],
        exchange_url=stack.exchange_url,
    )


async def holdings(owner: Account) -> dict[str, int]:
    async def attempt() -> dict[str, Any]:
        answer = await owner.http.get("/portfolio")
        assert answer.status_code == 200, answer.text
        portfolio: dict[str, Any] = answer.json()
        return portfolio

    portfolio = await eventually(attempt, "the portfolio is shown")
    shares = {one["symbol"]: one["shares"] for one in portfolio["positions"]}
    return {"cash": portfolio["cashInCents"], "held": portfolio["heldCashInCents"], **shares}


async def orders_there(exchange: httpx.AsyncClient) -> list[str]:
    page = (await exchange.get("/v1/orders", params={"limit": 1000})).json()
    return [order["clientOrderId"] for order in page["items"]]
