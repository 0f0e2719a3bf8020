"""One order of a user and symbol at a time on its way to the exchange: taken, shared, freed."""

from datetime import timedelta
from uuid import uuid4

import pytest
from temporalio.exceptions import ApplicationError

from brokerage.contracts.commands import CancelRequested, SettleRequest, SubmitRequest
from brokerage.contracts.gateway import GatewayReply
from brokerage.contracts.ids import order_id_for
from brokerage.storage.admission import claim_key
from devstack.stack import DevStack
from tests.support.books import Books, accepted, audited_books, external_id
from tests.support.orders import a_fill


async def state_of_claim(books: Books, key: str | None = None, symbol: str = "IBM") -> str:
    """What a claim comes to; of a new key unless it is named."""
    key = key or str(uuid4())
    claim = await claim_key(
        books.pool,
        user_id=books.user_id,
        key=key,
        order_id=order_id_for(books.user_id, key),
        symbol=symbol,
        body_hash=b"body",
        last_price_cents=20_000,
    )
    return claim.state


async def keep_locks(books: Books) -> None:
    """Make them last, however slow the machine is."""
    await books.pool.execute(
        "UPDATE placing_locks SET expires_at = clock_timestamp() + interval '1 hour' "
        "WHERE user_id = $1",
        books.user_id,
    )


async def test_the_next_order_of_a_symbol_waits_and_has_taken_nothing(books: Books) -> None:
    key = str(uuid4())
    await state_of_claim(books)
    await keep_locks(books)

    assert await state_of_claim(books, key) == "placing"

    assert await books.count("idempotency_keys") == 1
    assert await books.count("placing_locks") == 1


async def test_orders_of_other_symbols_and_users_do_not_wait(
    books: Books, servers: DevStack
) -> None:
    await state_of_claim(books)

    assert await state_of_claim(books, symbol="SPY") == "new"
    async with audited_books(servers.env["SHERWOOD_DATABASE_URL"]) as other:
        assert await state_of_claim(other) == "new"


async def test_the_same_order_shares_its_own_lock(books: Books) -> None:
    key = str(uuid4())

    assert await state_of_claim(books, key) == "new"
    await keep_locks(books)
    assert await state_of_claim(books, key) == "known"


async def test_a_lock_that_nobody_freed_ends_by_itself(books: Books) -> None:
    began = await books.pool.fetchval("SELECT clock_timestamp()")
    await state_of_claim(books)
    expires_at = await books.pool.fetchval(
        "SELECT expires_at FROM placing_locks WHERE user_id = $1", books.user_id
    )
    now = await books.pool.fetchval("SELECT clock_timestamp()")
    assert began < expires_at <= now + timedelta(seconds=5)

    await books.pool.execute(
        "UPDATE placing_locks SET expires_at = clock_timestamp() WHERE user_id = $1", books.user_id
    )

    assert await state_of_claim(books) == "new"
    assert await books.count("placing_locks") == 1


async def test_a_reserved_order_keeps_the_lock_until_the_exchange_answered(books: Books) -> None:
    key = await books.reserved()
    await keep_locks(books)
    assert await state_of_claim(books) == "placing"

    books.gateway.replies.append(accepted(key.order_id, external_id()))
    await books.exchange.submit(SubmitRequest(key.order_id, key.user_id, repeated=False))

    assert await books.count("placing_locks") == 0
    assert await state_of_claim(books) == "new"


async def test_an_order_that_is_refused_here_frees_it(books: Books) -> None:
    await books.orders.reserve(await books.claim(shares=51))

    assert await books.count("placing_locks") == 0


async def test_an_order_that_the_exchange_refuses_frees_it(books: Books) -> None:
    key = await books.reserved()
    books.gateway.replies.append(GatewayReply("refused", code="symbol-asleep"))

    await books.exchange.submit(SubmitRequest(key.order_id, key.user_id, repeated=False))

    assert await books.count("placing_locks") == 0


async def test_the_slow_path_frees_it_before_anything_is_known(books: Books) -> None:
    key = await books.reserved()
    books.gateway.replies += [GatewayReply("unknown")] * 2

    with pytest.raises(ApplicationError):
        await books.ask(books.exchange.resolve_submission, key)

    assert await books.count("placing_locks") == 0


async def test_an_execution_that_beats_the_acknowledgement_frees_it(books: Books) -> None:
    key, external = await books.reserved(), external_id()
    report = a_fill(f"e-{external}", 4, 20_000, external=external)

    await books.orders.settle(SettleRequest(key.order_id, key.user_id, [report]))

    assert await books.count("placing_locks") == 0


async def test_a_cancel_before_the_acknowledgement_frees_it(books: Books) -> None:
    key = await books.reserved()

    await books.orders.request_cancel(
        CancelRequested(key.order_id, key.user_id, key.user_id, "127.0.0.1")
    )

    assert await books.count("placing_locks") == 0


async def test_an_order_frees_no_lock_but_its_own(books: Books) -> None:
    first = await books.reserved(shares=1)
    await books.reserved(shares=1)
    await keep_locks(books)
    books.gateway.replies.append(accepted(first.order_id, external_id()))

    await books.exchange.submit(SubmitRequest(first.order_id, first.user_id, repeated=False))

    assert await books.count("placing_locks") == 1
    assert await state_of_claim(books) == "placing"
