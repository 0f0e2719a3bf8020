"""What the exchange reports and customers cancel, on a real Postgres: no cent is ever lost."""

import asyncio
from uuid import uuid4

import asyncpg
import pytest
from temporalio.exceptions import ApplicationError

from brokerage.contracts.commands import OrderKey, SubmitRequest
from brokerage.contracts.gateway import GatewayReply
from brokerage.domain.orders import OrderStatus, Outcome
from brokerage.storage.openings import open_account
from tests.support.books import Books, external_id, until_done
from tests.support.orders import a_fill, an_end, cancel_of, settle

S = OrderStatus


# -- settle ------------------------------------------------------------------------------------


async def test_a_fill_moves_cash_shares_and_hold(books: Books) -> None:
    external = external_id()
    key = await books.submitted(external)

    result = await books.orders.settle(
        settle(key, a_fill(f"{external}-1", 4, 19_990, external=external))
    )

    assert result.settled_ids == [f"{external}-1"]
    assert result.state.status == "partially_filled"
    balances = await books.balances()
    assert (balances.cash_cents, balances.held_cents) == (1_000_000 - 4 * 19_990, 6 * 20_000)
    assert balances.positions[0].shares == 54


async def test_settling_twice_books_once(books: Books) -> None:
    external = external_id()
    key = await books.submitted(external)
    request = settle(key, a_fill(f"{external}-1", 4, 19_990, external=external))

    first = await books.orders.settle(request)
    second = await books.orders.settle(request)

    assert second.settled_ids == first.settled_ids
    assert second.state.version == first.state.version
    assert (await books.balances()).positions[0].shares == 54
    assert await books.count("execution_reports") == 1


async def test_the_same_fill_settled_five_times_at_once_is_booked_once(books: Books) -> None:
    external = external_id()
    key = await books.submitted(external)
    request = settle(key, a_fill(f"{external}-1", 4, 19_990, external=external))

    async with asyncio.TaskGroup() as tasks:
        for _ in range(5):
            tasks.create_task(until_done(lambda: books.orders.settle(request)))

    assert (await books.balances()).positions[0].shares == 54


async def test_a_fill_before_the_acknowledgement_says_what_that_would_say(books: Books) -> None:
    key, external = await books.reserved(), external_id()

    result = await books.orders.settle(
        settle(key, a_fill(f"{external}-1", 10, 19_990, external=external))
    )

    assert (result.state.status, result.state.external_order_id) == ("filled", external)
    assert result.state.reply is not None
    assert result.state.reply.status == 201
    assert (await books.order(key)).outcome is Outcome.ACCEPTED
    assert f"routes.{external}" in books.bus.subjects()


async def test_the_acknowledgement_after_its_fill_changes_nothing(books: Books) -> None:
    key, external = await books.reserved(), external_id()
    await books.orders.settle(settle(key, a_fill(f"{external}-1", 4, 19_990, external=external)))
    before = await books.order(key)

    state = await books.exchange.submit(SubmitRequest(key.order_id, key.user_id, repeated=False))

    assert state.status == "partially_filled"
    assert await books.order(key) == before
    assert books.gateway.asked == []


async def test_reports_are_booked_in_the_order_of_the_feed(books: Books) -> None:
    external = external_id()
    key = await books.submitted(external)

    result = await books.orders.settle(
        settle(
            key,
            an_end("cancelled", 4, feed_seq=9, external=external),
            a_fill(f"{external}-1", 4, 19_990, feed_seq=8, external=external),
        )
    )

    assert (result.state.status, result.state.settled) == ("cancelled", True)
    balances = await books.balances()
    assert (balances.held_cents, balances.positions[0].shares) == (0, 54)


async def test_an_end_before_its_last_fill_keeps_what_is_not_booked(books: Books) -> None:
    external = external_id()
    key = await books.submitted(external)
    await books.orders.request_cancel(cancel_of(key))

    ending = await books.orders.settle(settle(key, an_end("cancelled", 4, external=external)))
    held = (await books.balances()).held_cents
    ended = await books.orders.settle(
        settle(key, a_fill(f"{external}-1", 4, 19_990, feed_seq=2, external=external))
    )

    assert (ending.state.status, ending.state.ended, ending.state.settled) == (
        "pending_cancel",
        True,
        False,
    )
    assert held == 4 * 20_000
    assert (ended.state.status, ended.state.settled) == ("cancelled", True)
    assert (await books.balances()).held_cents == 0


async def test_an_overfill_is_booked_and_the_firm_bears_it(books: Books) -> None:
    external = external_id()
    key = await books.submitted(external)

    result = await books.orders.settle(
        settle(key, a_fill(f"{external}-1", 13, 20_000, external=external))
    )

    assert result.state.status == "filled"
    assert (await books.balances()).positions[0].shares == 60
    borne = await books.pool.fetchval(
        "SELECT sum(amount) FROM ledger_entries "
        "WHERE user_id = $1 AND account = 'error' AND asset = 'IBM'",
        books.user_id,
    )
    assert borne == 3


async def test_a_late_fill_of_a_cancelled_order_is_booked(books: Books) -> None:
    external = external_id()
    key = await books.submitted(external)
    await books.orders.settle(settle(key, an_end("cancelled", 0, external=external)))

    result = await books.orders.settle(
        settle(key, a_fill(f"{external}-1", 10, 20_000, feed_seq=2, external=external))
    )

    assert result.state.status == "filled"
    assert (await books.balances()).cash_cents == 800_000


async def test_a_second_end_is_remembered_and_changes_nothing(books: Books) -> None:
    external = external_id()
    key = await books.submitted(external)
    await books.orders.settle(settle(key, a_fill(f"{external}-1", 10, 20_000, external=external)))
    before = await books.order(key)

    result = await books.orders.settle(
        settle(key, an_end("expired", 10, feed_seq=2, external=external))
    )

    assert result.settled_ids == [f"end:{external}"]
    assert await books.order(key) == before
    assert await books.count("execution_reports") == 2


async def test_a_report_for_an_order_without_a_row_waits(books: Books) -> None:
    key = OrderKey(str(uuid4()), books.user_id)

    with pytest.raises(ApplicationError) as caught:
        await books.orders.settle(settle(key, a_fill(external_id(), 1, 20_000)))

    assert caught.value.type == "OrderMissing"
    assert not caught.value.non_retryable


async def test_a_failed_order_that_the_exchange_had_after_all_is_booked_to_its_end(
    books: Books,
) -> None:
    key, external = await books.reserved(), external_id()
    await books.past_send_by(key)
    books.gateway.replies += [GatewayReply("absent"), GatewayReply("absent")]
    await books.ask(books.exchange.resolve_submission, key)
    await books.reserved(shares=45)  # of the cash, $1,000.00 stay

    first = await books.orders.settle(
        settle(key, a_fill(f"{external}-1", 6, 20_000, external=external))
    )
    second = await books.orders.settle(
        settle(key, a_fill(f"{external}-2", 4, 20_000, feed_seq=2, external=external))
    )

    # Six shares are more than the account can bear, four are not; the exchange is done with it.
    assert first.state.status == "failed"
    assert (second.state.status, second.state.settled) == ("cancelled", True)
    assert (await books.order(key)).filled_shares == 4


# -- what Postgres itself refuses --------------------------------------------------------------


async def test_the_ledger_refuses_what_does_not_sum_to_zero(books: Books) -> None:
    with pytest.raises(asyncpg.RaiseError, match="sum to zero"):
        await books.pool.execute(
            "INSERT INTO ledger_entries (user_id, source, leg, account, asset, amount, booked_at) "
            "VALUES ($1, 'forged', 1, 'user', 'USD', 100, now())",
            books.user_id,
        )


@pytest.mark.parametrize("table", ["ledger_entries", "order_events"])
@pytest.mark.parametrize("statement", ["UPDATE {} SET user_id = user_id", "DELETE FROM {}"])
async def test_what_was_written_stays(books: Books, table: str, statement: str) -> None:
    await books.reserved()

    with pytest.raises(asyncpg.RaiseError, match="append only"):
        await books.pool.execute(f"{statement.format(table)} WHERE user_id = $1", books.user_id)


async def test_a_balance_cannot_go_below_what_is_held(books: Books) -> None:
    await books.reserved()

    with pytest.raises(asyncpg.CheckViolationError):
        await books.pool.execute(
            "UPDATE accounts SET cash_cents = 199999 WHERE user_id = $1", books.user_id
        )


# -- keys and accounts -------------------------------------------------------------------------


async def test_an_account_is_opened_once(books: Books) -> None:
    again = await open_account(books.pool, books.user_id, 5, {"IBM": 1}, {})

    assert again is False
    assert (await books.balances()).cash_cents == 1_000_000
