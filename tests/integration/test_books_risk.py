"""Caps, states and the user's own orders at the moment of placing, on a real Postgres."""

import asyncio
from functools import partial
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from brokerage.contracts.commands import CancelRequested, OrderKey, SettleRequest, StartOrder
from brokerage.domain.orders import OrderStatus
from brokerage.domain.risk import AccountState
from brokerage.storage import operations
from brokerage.storage.operations import Authority, Limit
from devstack.stack import DevStack
from tests.support.books import Books, audited_books, external_id, until_done
from tests.support.orders import a_fill, an_end

S = OrderStatus
BY = Authority("olga", "127.0.0.1", "a test")


async def reason_of(books: Books, **terms: Any) -> str | None:
    """Why a new order is refused, None if it is not."""
    start = await books.claim(**terms)
    await books.orders.reserve(start)
    return (await books.order(OrderKey(start.order_id, books.user_id))).reason


async def reserved_at_once(books: Books, starts: list[StartOrder]) -> list[OrderStatus]:
    """What became of orders that were all reserved at the same time."""
    async with asyncio.TaskGroup() as tasks:
        for start in starts:
            tasks.create_task(until_done(partial(books.orders.reserve, start)))
    return [(await books.order(OrderKey(one.order_id, books.user_id))).status for one in starts]


# -- caps --------------------------------------------------------------------------------------


async def test_buys_at_once_never_exceed_the_cap_of_a_position(books: Books) -> None:
    symbol = f"T{uuid4().hex[:8].upper()}"
    await operations.set_limit(books.pool, Limit("position-shares", symbol, 35), BY)
    starts = [await books.claim(symbol=symbol, limit_price_cents=100) for _ in range(10)]

    statuses = await reserved_at_once(books, starts)

    assert (statuses.count(S.PENDING), statuses.count(S.REJECTED)) == (3, 7)
    assert await reason_of(books, symbol=symbol, shares=6, limit_price_cents=100) == (
        "position-limit"
    )
    assert await reason_of(books, symbol=symbol, shares=5, limit_price_cents=100) is None


async def test_shares_that_are_there_count_for_the_cap_and_so_do_those_on_their_way(
    books: Books,
) -> None:
    symbol = f"T{uuid4().hex[:8].upper()}"
    await operations.set_limit(books.pool, Limit("position-shares", symbol, 20), BY)
    terms: dict[str, Any] = {"symbol": symbol, "limit_price_cents": 100}
    key = await books.submitted(external := external_id(), **terms)
    fill, end = (
        a_fill(f"{external}-1", 4, 100, external=external),
        an_end("cancelled", 6, feed_seq=2, external=external),
    )
    # Four are booked, two more are executed and not reported yet, four are given up.
    await books.orders.settle(SettleRequest(key.order_id, key.user_id, [fill, end]))

    assert await reason_of(books, shares=15, **terms) == "position-limit"
    assert await reason_of(books, shares=14, **terms) is None

    late = a_fill(f"{external}-3", 2, 100, feed_seq=3, external=external)
    await books.orders.settle(SettleRequest(key.order_id, key.user_id, [late]))
    assert await reason_of(books, shares=1, **terms) == "position-limit"


async def test_a_user_s_own_cap_wins_over_everybody_s(books: Books) -> None:
    await operations.set_limit(books.pool, Limit("order-shares", books.user_id, 9), BY)
    assert await reason_of(books) == "order-too-large"

    await operations.set_limit(books.pool, Limit("order-shares", books.user_id, 10), BY)
    assert await reason_of(books) is None

    await operations.set_limit(
        books.pool, Limit("order-notional-cents", books.user_id, 199_999), BY
    )
    assert await reason_of(books) == "order-too-large"

    assert await operations.drop_limit(books.pool, "order-notional-cents", books.user_id, BY)
    assert await reason_of(books) is None


async def test_an_order_that_was_taken_stays_so_whatever_changes_afterwards(books: Books) -> None:
    start = await books.claim()
    await books.orders.reserve(start)
    await operations.set_limit(books.pool, Limit("order-shares", books.user_id, 1), BY)
    await operations.set_account_state(books.pool, books.user_id, AccountState.FROZEN, BY)

    state = await books.orders.reserve(start)

    assert (state.status, state.created) == ("pending", False)


# -- states ------------------------------------------------------------------------------------


async def test_a_state_counts_for_every_order_after_it_and_for_none_before(books: Books) -> None:
    starts = [await books.claim(shares=1, limit_price_cents=100) for _ in range(12)]

    async with asyncio.TaskGroup() as tasks:
        placing = tasks.create_task(reserved_at_once(books, starts))
        freezing = tasks.create_task(
            until_done(
                lambda: operations.set_account_state(
                    books.pool, books.user_id, AccountState.FROZEN, BY
                )
            )
        )
    frozen = freezing.result()

    assert frozen is not None
    events = await books.pool.fetch(
        "SELECT seq, kind FROM order_events WHERE user_id = $1 ORDER BY seq", books.user_id
    )
    assert len(events) == len(placing.result()) == 12
    assert {row["kind"] for row in events if row["seq"] > frozen.as_of_seq} <= {"rejected"}
    assert {row["kind"] for row in events if row["seq"] <= frozen.as_of_seq} <= {"placed"}
    assert await reason_of(books) == "account-frozen"


async def test_an_account_that_is_active_again_places_orders(books: Books) -> None:
    for state, reason in (
        (AccountState.CLOSE_ONLY, "account-close-only"),
        (AccountState.ACTIVE, None),
    ):
        await operations.set_account_state(books.pool, books.user_id, state, BY)
        assert await reason_of(books) == reason


async def test_an_order_in_a_frozen_account_can_be_cancelled(books: Books) -> None:
    key = await books.reserved()
    await operations.set_account_state(books.pool, books.user_id, AccountState.FROZEN, BY)

    wish = CancelRequested(key.order_id, key.user_id, books.user_id, "")
    state = await books.orders.request_cancel(wish)

    assert state.status == "pending_cancel"


# -- own orders --------------------------------------------------------------------------------


async def test_a_buy_and_a_sell_at_once_that_could_meet_are_one_order(books: Books) -> None:
    starts = [await books.claim(side=side) for side in ("buy", "sell")]

    statuses = await reserved_at_once(books, starts)

    assert sorted(statuses) == [S.PENDING, S.REJECTED]


async def test_the_order_in_the_way_is_the_one_that_would_trade_first(books: Books) -> None:
    for price in (21_000, 19_900, 20_500):
        await books.reserved(side="sell", shares=1, limit_price_cents=price)
    first = await books.reserved(side="sell", shares=1, limit_price_cents=19_800)
    await books.reserved(side="sell", shares=1, limit_price_cents=20_000)

    state = await books.orders.reserve(await books.claim(shares=1))

    assert state.reply is not None
    assert f'"conflictingOrderId":"{first.order_id}"' in state.reply.body
    assert '"conflictingPosition":"sell","conflictingPriceInCents":19800' in state.reply.body


async def test_the_dearest_buy_is_in_the_way_of_a_sell(books: Books) -> None:
    await books.reserved(shares=1, limit_price_cents=19_000)
    dearest = await books.reserved(shares=1, limit_price_cents=19_500)

    state = await books.orders.reserve(
        await books.claim(side="sell", shares=1, limit_price_cents=19_400)
    )

    assert state.reply is not None
    assert f'"conflictingOrderId":"{dearest.order_id}"' in state.reply.body


async def test_an_order_that_cannot_be_met_is_taken(books: Books) -> None:
    await books.reserved(side="sell", shares=1, limit_price_cents=20_001)
    await books.reserved(shares=1, limit_price_cents=100, symbol="SPY")

    assert await reason_of(books, limit_price_cents=20_000) is None
    assert await reason_of(books, side="sell", limit_price_cents=20_001) is None


async def test_an_order_is_in_the_way_until_it_has_ended(books: Books) -> None:
    key = await books.submitted(external := external_id(), side="sell")
    wish = CancelRequested(key.order_id, key.user_id, books.user_id, "")
    await books.orders.request_cancel(wish)
    assert await reason_of(books) == "self-trade"

    # Ended with four executed that are not reported yet: they are held, and meet nobody any more.
    end = an_end("cancelled", 4, feed_seq=1, external=external)
    await books.orders.settle(SettleRequest(key.order_id, key.user_id, [end]))

    assert (await books.order(key)).status is S.PENDING_CANCEL
    assert await books.count("holds") == 1
    assert await reason_of(books) is None


async def test_another_user_s_order_is_in_nobody_s_way(books: Books, servers: DevStack) -> None:
    await books.reserved(side="sell", shares=1)

    async with audited_books(servers.env["SHERWOOD_DATABASE_URL"]) as others:
        assert await reason_of(others) is None


# -- the record --------------------------------------------------------------------------------


async def test_a_change_that_cannot_be_recorded_is_not_made(books: Books) -> None:
    without_reason = Authority("olga", "127.0.0.1", "")

    with pytest.raises(asyncpg.CheckViolationError):
        await operations.set_limit(
            books.pool, Limit("order-shares", books.user_id, 1), without_reason
        )
    with pytest.raises(asyncpg.CheckViolationError):
        await operations.set_account_state(
            books.pool, books.user_id, AccountState.FROZEN, without_reason
        )

    assert await operations.limits_page(books.pool, limit=1, subject=books.user_id) == []
    assert await reason_of(books) is None


@pytest.mark.parametrize(
    "rewriting",
    [
        "UPDATE operator_acts SET reason = 'another' WHERE subject = $1",
        "DELETE FROM operator_acts WHERE subject = $1",
    ],
)
async def test_the_record_is_never_rewritten(books: Books, rewriting: str) -> None:
    await operations.set_limit(books.pool, Limit("order-shares", books.user_id, 1), BY)

    with pytest.raises(asyncpg.RaiseError, match="append only"):
        await books.pool.execute(rewriting, books.user_id)
