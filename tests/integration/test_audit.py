"""The auditor finds what is planted in the tables, and nothing in books that are whole."""

import pytest

from brokerage.contracts.commands import OrderKey, SettleRequest
from brokerage.storage.audit import read_audit
from tests.support.books import Books, external_id
from tests.support.orders import a_bust, a_fill


async def an_order_with_a_bust(books: Books) -> OrderKey:
    """An order for ten shares: five were executed, one of them was busted, four are filled."""
    external = external_id()
    key = await books.submitted(external)
    fill, over = f"{external}-1", f"{external}-2"
    reports = [
        a_fill(fill, 4, 19_990, external=external),
        a_fill(over, 1, 19_990, feed_seq=2, external=external),
        a_bust(f"b-{over}", over, feed_seq=3, external=external),
    ]
    await books.orders.settle(SettleRequest(key.order_id, key.user_id, reports))
    return key


@pytest.mark.parametrize(
    ("plant", "undo", "what"),
    [
        (
            "UPDATE accounts SET cash_cents = cash_cents + 1 WHERE user_id = $1",
            "UPDATE accounts SET cash_cents = cash_cents - 1 WHERE user_id = $1",
            "a cash balance is the sum of its entries",
        ),
        (
            "UPDATE accounts SET held_cents = held_cents + 1 WHERE user_id = $1",
            "UPDATE accounts SET held_cents = held_cents - 1 WHERE user_id = $1",
            "held cash is the sum of the holds",
        ),
        (
            "UPDATE accounts SET cash_cents = cash_cents + 1 WHERE user_id = $1",
            "UPDATE accounts SET cash_cents = cash_cents - 1 WHERE user_id = $1",
            "an account is what its last event left",
        ),
        (
            "UPDATE positions SET held_shares = held_shares + 1 WHERE user_id = $1",
            "UPDATE positions SET held_shares = held_shares - 1 WHERE user_id = $1",
            "a position is what its last event left",
        ),
        (
            "UPDATE positions SET shares = shares + 1 WHERE user_id = $1",
            "UPDATE positions SET shares = shares - 1 WHERE user_id = $1",
            "a position is the sum of its entries",
        ),
        (
            "UPDATE positions SET held_shares = held_shares + 1 WHERE user_id = $1",
            "UPDATE positions SET held_shares = held_shares - 1 WHERE user_id = $1",
            "held shares are the sum of the holds",
        ),
        (
            "UPDATE holds SET shares = shares + 1, amount = amount + 20000 WHERE user_id = $1",
            "UPDATE holds SET shares = shares - 1, amount = amount - 20000 WHERE user_id = $1",
            "an open order holds what may still be booked",
        ),
        (
            "UPDATE orders SET status = 'cancelled' WHERE user_id = $1",
            "UPDATE orders SET status = 'partially_filled' WHERE user_id = $1",
            "a closed order holds nothing",
        ),
        (
            "UPDATE orders SET filled_shares = 5 WHERE user_id = $1",
            "UPDATE orders SET filled_shares = 4 WHERE user_id = $1",
            "an order's filled shares are those booked",
        ),
        (
            "UPDATE orders SET filled_shares = 5 WHERE user_id = $1",
            "UPDATE orders SET filled_shares = 4 WHERE user_id = $1",
            "an order's filled shares are its customer's entries",
        ),
        (
            "UPDATE orders SET filled_notional_cents = 1 WHERE user_id = $1",
            "UPDATE orders SET filled_notional_cents = 79960 WHERE user_id = $1",
            "an order's filled notional is its customer's entries",
        ),
        (
            "UPDATE orders SET executed_shares = 3 WHERE user_id = $1",
            "UPDATE orders SET executed_shares = 4 WHERE user_id = $1",
            "an order's executed shares are those that stand",
        ),
        (
            "UPDATE orders SET executed_shares = 3 WHERE user_id = $1",
            "UPDATE orders SET executed_shares = 4 WHERE user_id = $1",
            "the firm bears what is executed and not the customer's",
        ),
        (
            "UPDATE orders SET matched_shares = 6 WHERE user_id = $1",
            "UPDATE orders SET matched_shares = 5 WHERE user_id = $1",
            "an order's matched shares are those of its fills",
        ),
        (
            "UPDATE orders SET matched_shares = 6 WHERE user_id = $1",
            "UPDATE orders SET matched_shares = 5 WHERE user_id = $1",
            "an open order holds what may still be booked",
        ),
        (
            "INSERT INTO waiting_amendments (order_id, report_id, report) "
            "SELECT order_id, 'b-1', '{}' FROM orders WHERE user_id = $1",
            "DELETE FROM waiting_amendments w USING orders o "
            "WHERE o.user_id = $1 AND o.order_id = w.order_id",
            "no bust or correction waits for its execution",
        ),
        (
            "UPDATE accounts SET event_seq = event_seq + 1 WHERE user_id = $1",
            "UPDATE accounts SET event_seq = event_seq - 1 WHERE user_id = $1",
            "a user's event sequence has no gap",
        ),
        (
            "UPDATE orders SET version = version + 1 WHERE user_id = $1",
            "UPDATE orders SET version = version - 1 WHERE user_id = $1",
            "an order's versions have no gap",
        ),
    ],
)
async def test_a_planted_contradiction_is_found(
    books: Books, plant: str, undo: str, what: str
) -> None:
    key = await an_order_with_a_bust(books)
    places = (books.user_id, key.order_id)

    async with books.pool.acquire() as database:
        await database.execute(plant, books.user_id)
    try:
        found = (await read_audit(books.pool)).contradictions
    finally:
        async with books.pool.acquire() as database:
            await database.execute(undo, books.user_id)

    assert what in {one.what for one in found if one.where.startswith(places)}


async def test_whole_books_contradict_nothing_and_show_the_order(books: Books) -> None:
    start = await books.claim()
    await books.orders.reserve(start)

    audit = await read_audit(books.pool)

    assert start.order_id in {order.order_id for order in audit.orders}
    assert [one for one in audit.contradictions if books.user_id in one.where] == []
