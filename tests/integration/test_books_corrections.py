"""Busts and corrections on a real Postgres: each leg goes back where it was booked, once, ever."""

import asyncio
from itertools import permutations

import asyncpg
import pytest
from prometheus_client import REGISTRY

from brokerage.contracts.commands import CancelRequested, OrderKey
from brokerage.domain import booking
from tests.support.books import Books, accepted, external_id, until_done
from tests.support.orders import NOON, a_bust, a_correction, a_fill, an_end, settle


async def money(books: Books) -> tuple[int, int, int, int]:
    """Cash, held cash, shares of IBM, and those held."""
    balances = await books.balances()
    shares, held = 0, 0
    for position in balances.positions:
        shares, held = position.shares, position.held_shares
    return balances.cash_cents, balances.held_cents, shares, held


async def borne(books: Books) -> dict[tuple[str, str], int]:
    """What the error account has of this user's orders, by cause and asset."""
    rows = await books.pool.fetch(
        "SELECT cause, asset, sum(amount)::bigint AS total FROM ledger_entries "
        "WHERE user_id = $1 AND account = 'error' GROUP BY cause, asset HAVING sum(amount) <> 0",
        books.user_id,
    )
    return {(row["cause"], row["asset"]): row["total"] for row in rows}


def counted(what: str) -> float:
    """What was ever alarmed of uncovered busts: cents or shares."""
    name = f"sherwood_error_account_{what}_total"
    return REGISTRY.get_sample_value(name, {"cause": "uncovered-bust"}) or 0.0


async def events(books: Books, key: OrderKey) -> list[str]:
    """What happened to the order, in order."""
    rows = await books.pool.fetch(
        "SELECT kind FROM order_events WHERE user_id = $1 AND order_id = $2 ORDER BY seq",
        key.user_id,
        key.order_id,
    )
    return [row["kind"] for row in rows]


async def test_a_bust_gives_cash_and_shares_back_and_leaves_the_status(books: Books) -> None:
    x = external_id()
    key = await books.submitted(x)
    await books.orders.settle(settle(key, a_fill(f"{x}-1", 10, 19_990, external=x)))

    result = await books.orders.settle(settle(key, a_bust(f"b-{x}", f"{x}-1", external=x)))

    order = await books.order(key)
    assert (result.settled_ids, result.state.settled) == ([f"b-{x}"], True)
    assert (order.status, order.filled_shares, order.executed_shares) == ("filled", 0, 0)
    assert order.filled_notional_cents == 0
    assert await money(books) == (1_000_000, 0, 50, 0)
    assert await events(books, key) == ["placed", "submitted", "fill", "bust"]


async def test_a_bust_of_an_open_order_leaves_its_hold_for_the_exchange_leaves_its_book(
    books: Books,
) -> None:
    x = external_id()
    key = await books.submitted(x)
    await books.orders.settle(settle(key, a_fill(f"{x}-1", 4, 19_990, external=x)))

    await books.orders.settle(settle(key, a_bust(f"b-{x}", f"{x}-1", external=x)))
    after_the_bust = await money(books)
    result = await books.orders.settle(
        settle(key, a_fill(f"{x}-2", 6, 20_000, feed_seq=3, external=x))
    )

    # Four of ten never come back to the book: six were left to trade, and six were held.
    assert after_the_bust == (1_000_000, 6 * 20_000, 50, 0)
    assert (result.state.status, result.state.settled) == ("filled", True)
    assert (await books.order(key)).filled_shares == 6
    assert await money(books) == (1_000_000 - 6 * 20_000, 0, 56, 0)


async def test_a_sale_is_busted_like_a_purchase(books: Books) -> None:
    x = external_id()
    key = await books.submitted(x, side="sell", limit_price_cents=19_000)
    await books.orders.settle(settle(key, a_fill(f"{x}-1", 4, 19_500, external=x)))

    await books.orders.settle(settle(key, a_bust(f"b-{x}", f"{x}-1", external=x)))

    assert await money(books) == (1_000_000, 0, 50, 6)


async def test_a_bust_while_a_cancel_is_asked_for_leaves_it_standing(books: Books) -> None:
    x = external_id()
    key = await books.submitted(x)
    await books.orders.settle(settle(key, a_fill(f"{x}-1", 4, 19_990, external=x)))
    await books.orders.request_cancel(CancelRequested(key.order_id, key.user_id, key.user_id, ""))

    busted = await books.orders.settle(settle(key, a_bust(f"b-{x}", f"{x}-1", external=x)))
    books.gateway.replies.append(accepted(key.order_id, x, "cancelled", 0, outcome="cancelled"))
    cancelled = await books.ask(books.exchange.send_cancel, key)

    assert busted.state.status == "pending_cancel"
    assert (cancelled.status, cancelled.settled) == ("cancelled", True)
    assert await money(books) == (1_000_000, 0, 50, 0)


async def test_a_cancels_answer_from_before_a_bust_is_asked_for_again(books: Books) -> None:
    x = external_id()
    key = await books.submitted(x)
    await books.orders.settle(settle(key, a_fill(f"{x}-1", 4, 19_990, external=x)))
    await books.orders.request_cancel(CancelRequested(key.order_id, key.user_id, key.user_id, ""))
    stale = accepted(key.order_id, x, "cancelled", 4, outcome="cancelled")
    books.gateway.before_answer = lambda: books.orders.settle(
        settle(key, a_bust(f"b-{x}", f"{x}-1", external=x))
    )

    # Taken at its word, the four shares would be waited for, for ever.
    books.gateway.replies.append(stale)
    with pytest.raises(Exception, match="busted-meanwhile"):
        await books.ask(books.exchange.send_cancel, key)
    books.gateway.before_answer = None
    books.gateway.replies.append(accepted(key.order_id, x, "cancelled", 0, outcome="cancelled"))
    state = await books.ask(books.exchange.send_cancel, key)

    assert (state.status, state.settled) == ("cancelled", True)


async def test_a_correction_books_the_new_price_and_shares_in_one_event(books: Books) -> None:
    x = external_id()
    key = await books.submitted(x)
    await books.orders.settle(settle(key, a_fill(f"{x}-1", 10, 19_990, external=x)))
    before = await books.order(key)

    await books.orders.settle(settle(key, a_correction(f"c-{x}", f"{x}-1", 8, 19_900, external=x)))

    after = await books.order(key)
    assert after.version == before.version + 1
    assert (after.status, after.filled_shares, after.executed_shares) == ("filled", 8, 8)
    assert after.filled_notional_cents == 8 * 19_900
    assert await money(books) == (1_000_000 - 8 * 19_900, 0, 58, 0)
    assert await events(books, key) == ["placed", "submitted", "fill", "correction"]


async def test_what_a_correction_adds_beyond_all_that_was_matched_is_the_firms(
    books: Books,
) -> None:
    x = external_id()
    key = await books.submitted(x)
    await books.orders.settle(settle(key, a_fill(f"{x}-1", 4, 19_990, external=x)))

    await books.orders.settle(settle(key, a_correction(f"c-{x}", f"{x}-1", 7, 19_990, external=x)))

    order = await books.order(key)
    assert (order.filled_shares, order.matched_shares) == (4, 7)
    assert await money(books) == (1_000_000 - 4 * 19_990, 3 * 20_000, 54, 0)
    cause = "uncovered-correction"
    assert await borne(books) == {(cause, "IBM"): 3, (cause, "USD"): -3 * 19_990}


async def test_a_correction_may_be_corrected_and_then_busted(books: Books) -> None:
    x = external_id()
    key = await books.submitted(x)
    await books.orders.settle(settle(key, a_fill(f"{x}-1", 10, 19_990, external=x)))
    spent = []
    for seq, (shares, price) in enumerate([(10, 20_000), (6, 19_000), (9, 19_500), (0, 0)], 2):
        report = a_correction(f"c{seq}-{x}", f"{x}-1", shares, price, feed_seq=seq, external=x)
        await books.orders.settle(settle(key, report))
        order = await books.order(key)
        spent.append((order.filled_shares, order.filled_notional_cents))

    assert spent == [(10, 200_000), (6, 114_000), (9, 175_500), (0, 0)]
    assert await money(books) == (1_000_000, 0, 50, 0)


async def test_reports_in_any_order_and_repeated_leave_the_same_books(books: Books) -> None:
    ends: set[tuple[object, ...]] = set()
    for order_of_telling in permutations(range(4)):
        x = external_id()
        key = await books.submitted(x, limit_price_cents=2_000)
        told = [
            a_fill(f"{x}-1", 6, 1_990, feed_seq=1, external=x),
            a_fill(f"{x}-2", 4, 1_980, feed_seq=2, external=x),
            a_correction(f"c-{x}", f"{x}-1", 5, 1_900, feed_seq=3, external=x),
            a_bust(f"b-{x}", f"{x}-1", feed_seq=4, external=x),
        ]
        for number in (*order_of_telling, *reversed(order_of_telling)):
            result = await books.orders.settle(settle(key, told[number]))
            assert result.settled_ids == [told[number].report_id]
        order = await books.order(key)
        ends.add(
            (
                order.status,
                order.filled_shares,
                order.filled_notional_cents,
                order.executed_shares,
                order.leaves_shares,
                result.state.settled,
            )
        )

    assert ends == {("filled", 4, 4 * 1_980, 4, 0, True)}
    assert await money(books) == (1_000_000 - 24 * 4 * 1_980, 0, 50 + 24 * 4, 0)
    waiting = await books.pool.fetchval(
        "SELECT count(*) FROM waiting_amendments JOIN orders USING (order_id) WHERE user_id = $1",
        books.user_id,
    )
    assert waiting == 0


async def test_a_bust_settled_five_times_at_once_is_booked_once(books: Books) -> None:
    x = external_id()
    key = await books.submitted(x)
    await books.orders.settle(settle(key, a_fill(f"{x}-1", 10, 19_990, external=x)))
    request = settle(key, a_bust(f"b-{x}", f"{x}-1", external=x))

    async with asyncio.TaskGroup() as tasks:
        for _ in range(5):
            tasks.create_task(until_done(lambda: books.orders.settle(request)))

    assert await money(books) == (1_000_000, 0, 50, 0)
    assert (await events(books, key)).count("bust") == 1


async def test_a_bust_that_overtakes_its_execution_waits_for_it(books: Books) -> None:
    x = external_id()
    key = await books.submitted(x)

    early = await books.orders.settle(settle(key, a_bust(f"b-{x}", f"{x}-1", external=x)))
    waiting = await money(books)
    await books.orders.settle(settle(key, a_fill(f"{x}-1", 4, 19_990, external=x)))

    assert early.settled_ids == [f"b-{x}"]  # it is kept here: the stream may forget it
    assert waiting == (1_000_000, 10 * 20_000, 50, 0)
    assert await money(books) == (1_000_000, 6 * 20_000, 50, 0)
    assert await events(books, key) == ["placed", "submitted", "fill", "bust"]


async def test_a_bust_of_an_ended_order_lowers_what_it_counts(books: Books) -> None:
    x = external_id()
    key = await books.submitted(x)
    await books.orders.settle(settle(key, a_fill(f"{x}-1", 4, 19_990, external=x)))
    await books.orders.settle(settle(key, an_end("expired", 4, feed_seq=2, external=x)))

    result = await books.orders.settle(
        settle(key, a_bust(f"b-{x}", f"{x}-1", feed_seq=3, external=x))
    )

    order = await books.order(key)
    assert (order.status, order.filled_shares, order.final_shares) == ("expired", 0, 0)
    assert result.state.settled
    assert await money(books) == (1_000_000, 0, 50, 0)


# -- what the account cannot give back -----------------------------------------------------------


async def test_shares_that_are_sold_stay_bought_and_the_firm_takes_the_busts_place(
    books: Books,
) -> None:
    x, y = external_id(), external_id()
    bought = await books.submitted(x)
    await books.orders.settle(settle(bought, a_fill(f"{x}-1", 10, 20_000, external=x)))
    sold = await books.submitted(y, side="sell", shares=57, limit_price_cents=20_000)
    await books.orders.settle(settle(sold, a_fill(f"{y}-1", 57, 20_000, external=y)))

    alarmed = [counted("cents"), counted("shares")]
    await books.orders.settle(settle(bought, a_bust(f"b-{x}", f"{x}-1", external=x)))

    assert [counted("cents"), counted("shares")] == [alarmed[0] + 140_000, alarmed[1] + 7]
    # Three shares are there to give back; for the other seven the firm has the cash, owes shares.
    order = await books.order(bought)
    assert (order.filled_shares, order.filled_notional_cents) == (7, 140_000)
    assert order.executed_shares == 0
    assert await money(books) == (1_000_000 - 200_000 + 57 * 20_000 + 60_000, 0, 0, 0)
    assert await borne(books) == {
        ("uncovered-bust", "USD"): 140_000,
        ("uncovered-bust", "IBM"): -7,
    }


async def test_proceeds_that_are_held_stay_the_sellers_share_by_share(books: Books) -> None:
    x = external_id()
    sold = await books.submitted(x, side="sell", limit_price_cents=20_000)
    await books.orders.settle(settle(sold, a_fill(f"{x}-1", 10, 20_000, external=x)))
    await books.reserved(shares=58)  # of 1,200,000 cents 40,000 are free: two shares' worth

    await books.orders.settle(settle(sold, a_bust(f"b-{x}", f"{x}-1", external=x)))

    assert (await books.order(sold)).filled_shares == 8
    assert await money(books) == (58 * 20_000, 58 * 20_000, 42, 0)
    assert await borne(books) == {
        ("uncovered-bust", "USD"): -160_000,
        ("uncovered-bust", "IBM"): 8,
    }


async def test_a_dearer_price_that_the_account_cannot_pay_is_the_firms_by_the_cent(
    books: Books,
) -> None:
    x = external_id()
    key = await books.submitted(x)
    await books.orders.settle(settle(key, a_fill(f"{x}-1", 10, 19_000, external=x)))
    # Of 810,000 cents all but 4 are held.
    await books.reserved(shares=1, limit_price_cents=19_996)
    await books.reserved(shares=50, limit_price_cents=15_800)

    await books.orders.settle(settle(key, a_correction(f"c-{x}", f"{x}-1", 10, 19_001, external=x)))

    assert (await books.order(key)).filled_notional_cents == 190_004
    assert await borne(books) == {("uncovered-correction", "USD"): -6}


async def test_a_bust_of_an_overfill_reverses_each_part_where_it_was(books: Books) -> None:
    x = external_id()
    key = await books.submitted(x)
    await books.orders.settle(settle(key, a_fill(f"{x}-1", 13, 20_100, external=x)))
    before = await borne(books)

    await books.orders.settle(settle(key, a_bust(f"b-{x}", f"{x}-1", external=x)))

    assert before == {
        ("overfill", "USD"): -3 * 20_100,
        ("overfill", "IBM"): 3,
        ("price-worse-than-limit", "USD"): -1_000,
    }
    assert await borne(books) == {}
    assert await money(books) == (1_000_000, 0, 50, 0)


async def test_every_posting_to_the_error_account_says_why(books: Books) -> None:
    x = external_id()
    refused = await books.reserved()
    async with books.writer.transaction(refused.user_id, refused.order_id, trace={}) as opened:
        assert opened.order is not None
        await opened.store(
            booking.refuse(opened.order, opened.books, "halted", NOON), actor="exchange"
        )
    await books.orders.settle(settle(refused, a_fill(f"{x}-1", 4, 20_000, external=x)))
    y = external_id()
    late = await books.submitted(y, shares=40)
    await books.orders.settle(settle(late, an_end("cancelled", 0, external=y)))
    await books.reserved(shares=50)
    await books.orders.settle(settle(late, a_fill(f"{y}-1", 40, 20_000, feed_seq=2, external=y)))

    assert await borne(books) == {
        ("late-fill-after-reject", "USD"): -80_000,
        ("late-fill-after-reject", "IBM"): 4,
        ("uncovered-late-fill", "USD"): -800_000,
        ("uncovered-late-fill", "IBM"): 40,
    }


@pytest.mark.parametrize(("account", "cause"), [("error", None), ("clearing", "overfill")])
async def test_the_ledger_refuses_a_firms_part_without_a_cause_and_a_cause_without_one(
    books: Books, account: str, cause: str | None
) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await books.pool.execute(
            "INSERT INTO ledger_entries "
            "(user_id, source, leg, account, asset, amount, cause, booked_at) "
            "VALUES ($1, 'forged', 1, 'user', 'USD', 100, NULL, now()), "
            "($1, 'forged', 2, $2, 'USD', -100, $3, now())",
            books.user_id,
            account,
            cause,
        )
