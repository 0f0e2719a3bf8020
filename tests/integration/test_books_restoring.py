"""Orders that come back from the exchange: what they hold, and whose key finds them."""

from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from activities.restoring import RestoringActivities
from brokerage.contracts.commands import OrderKey
from brokerage.contracts.ids import order_id_for
from brokerage.contracts.placements import terms_hash
from brokerage.contracts.statements import StatedOrder
from brokerage.domain.orders import OrderStatus
from brokerage.storage import admission
from brokerage.storage.admission import Claim
from devstack.stack import DevStack
from tests.support.books import Books, books_of_a_new_user, external_id
from tests.support.orders import a_fill, settle

CASH_CENTS = 1_000_000
"""What the fixture's user has."""


def stated(books: Books, key: str, **facts: Any) -> StatedOrder:
    """What the exchange says of an order to buy 10 IBM at $200.00 under this key."""
    order = StatedOrder(
        client_order_id=order_id_for(books.user_id, key),
        external_order_id=external_id(),
        account_ref="",
        symbol="IBM",
        side="buy",
        shares=10,
        price_cents=20_000,
        time_in_force="gtc",
        placed_at_ms=1_772_452_800_000,
        status="open",
        reason=None,
        cumulative_shares=0,
        cumulative_notional_cents=0,
        reports=[],
    )
    return replace(order, **facts)


async def claim(books: Books, key: str, price_cents: int | None, shares: int = 10) -> Claim:
    """Repeat the request that the order came from."""
    await books.forget_admission()
    return await admission.claim_key(
        books.pool,
        user_id=books.user_id,
        key=key,
        order_id=order_id_for(books.user_id, key),
        symbol="IBM",
        body_hash=terms_hash(
            position="buy",
            symbol="IBM",
            shares=shares,
            price_cents=price_cents,
            time_in_force="gtc",
        ),
        last_price_cents=19_000,
    )


@pytest.fixture
def restoring(books: Books) -> RestoringActivities:
    return RestoringActivities(books.writer)


async def held(books: Books) -> int:
    cents: int = await books.pool.fetchval(
        "SELECT held_cents FROM accounts WHERE user_id = $1", books.user_id
    )
    return cents


async def test_an_order_comes_back_once_and_holds_what_it_may_cost(
    books: Books, restoring: RestoringActivities
) -> None:
    order = stated(books, str(uuid4()))

    assert [await restoring.take_over(books.user_id, order) for _ in range(2)] == [True, False]

    stored = await books.writer.read(books.user_id, order.client_order_id)
    assert stored is not None
    assert (stored.order.status, stored.order.external_order_id) == (
        OrderStatus.SUBMITTED,
        order.external_order_id,
    )
    assert await held(books) == 200_000
    kinds = await books.pool.fetch(
        "SELECT kind, actor FROM order_events WHERE user_id = $1 ORDER BY seq", books.user_id
    )
    assert [tuple(row) for row in kinds] == [("restored", "recovery"), ("submitted", "exchange")]


async def test_an_order_that_ended_holds_what_was_executed_until_that_is_booked(
    books: Books, restoring: RestoringActivities
) -> None:
    order = stated(books, str(uuid4()), status="cancelled", cumulative_shares=4)
    await restoring.take_over(books.user_id, order)
    key = OrderKey(order.client_order_id, books.user_id)

    assert await held(books) == 80_000
    fill = a_fill("f-" + order.external_order_id, 4, 19_500, external=order.external_order_id)
    result = await books.orders.settle(settle(key, fill))

    assert (result.state.status, result.state.settled) == ("cancelled", True)
    assert await held(books) == 0


async def test_an_order_holds_no_more_than_the_account_has(servers: DevStack) -> None:
    # Not audited: what is missing of the hold is a contradiction until the cash is there again.
    async with books_of_a_new_user(servers.env["SHERWOOD_DATABASE_URL"]) as poor:
        restoring = RestoringActivities(poor.writer)
        await restoring.take_over(poor.user_id, stated(poor, str(uuid4()), shares=51))

        assert await held(poor) == CASH_CENTS


async def test_an_order_that_the_exchange_refused_comes_back_as_rejected(
    books: Books, restoring: RestoringActivities
) -> None:
    key = str(uuid4())
    await restoring.take_over(books.user_id, stated(books, key, status="rejected", reason="halted"))

    again = await claim(books, key, 20_000)
    assert again.reply is not None
    assert again.reply.status == 422
    stored = await books.writer.read(books.user_id, order_id_for(books.user_id, key))
    assert stored is not None
    assert (stored.order.status, stored.order.reason) == (OrderStatus.REJECTED, "halted")
    assert await held(books) == 0


@pytest.mark.parametrize("price_cents", [20_000, None], ids=["limit", "market"])
async def test_the_request_that_is_repeated_finds_its_order_and_gets_its_key_back(
    books: Books, restoring: RestoringActivities, price_cents: int | None
) -> None:
    key = str(uuid4())
    order = stated(books, key)
    await restoring.take_over(books.user_id, order)

    found = [await claim(books, key, price_cents) for _ in range(2)]

    assert [(one.state, one.reply.status if one.reply else None) for one in found] == [
        ("known", 201),
        ("known", 201),
    ]
    row = await books.pool.fetchrow(
        "SELECT idempotency_key::text, count(*) OVER () AS orders FROM orders WHERE user_id = $1",
        books.user_id,
    )
    assert row is not None
    assert tuple(row) == (key, 1)


async def test_another_body_under_the_key_of_an_order_that_came_back_is_refused(
    books: Books, restoring: RestoringActivities
) -> None:
    key = str(uuid4())
    await restoring.take_over(books.user_id, stated(books, key))

    other = await claim(books, key, 20_000, shares=11)
    right = await claim(books, key, 20_000)
    other_again = await claim(books, key, 20_000, shares=11)

    assert [one.state for one in (other, right, other_again)] == ["mismatch", "known", "mismatch"]
    assert other.rate is not None


async def test_an_order_whose_key_was_claimed_before_the_backup_comes_back_under_it(
    books: Books, restoring: RestoringActivities
) -> None:
    key = str(uuid4())
    assert (await claim(books, key, 20_000)).state == "new"

    await restoring.take_over(books.user_id, stated(books, key))

    again = await claim(books, key, 20_000)
    assert (again.state, again.reply.status if again.reply else None) == ("known", 201)
    assert (
        await books.pool.fetchval(
            "SELECT count(*) FROM restored_orders WHERE user_id = $1", books.user_id
        )
        == 0
    )
