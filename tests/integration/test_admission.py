"""What a key stands for, decided by one call of Postgres."""

import asyncio
from uuid import uuid4

from brokerage.contracts.ids import order_id_for
from brokerage.storage.admission import Claim, claim_key, stored_reply
from devstack.stack import DevStack
from tests.support.books import Books, audited_books


async def claimed(
    books: Books, key: str, body: bytes = b"body", price: int = 20_000, user: str | None = None
) -> Claim:
    """Claim `key` for `body` at a last price."""
    user_id = user or books.user_id
    return await claim_key(
        books.pool,
        user_id=user_id,
        key=key,
        order_id=order_id_for(user_id, key),
        symbol="IBM",
        body_hash=body,
        last_price_cents=price,
    )


async def test_a_new_key_is_claimed_with_its_time_and_price(books: Books) -> None:
    claim = await claimed(books, str(uuid4()))

    assert (claim.state, claim.last_price_cents, claim.reply) == ("new", 20_000, None)


async def test_a_key_with_another_body_is_a_mismatch_and_stays_what_it_was(books: Books) -> None:
    key = str(uuid4())
    await claimed(books, key)

    assert (await claimed(books, key, b"other")).state == "mismatch"
    assert (await claimed(books, key)).state == "known"


async def test_a_user_without_an_account_claims_nothing(books: Books) -> None:
    key, stranger = str(uuid4()), f"user-{uuid4().hex[:12]}"

    claim = await claimed(books, key, user=stranger)

    assert claim.state == "no-account"
    kept = await books.pool.fetchval(
        "SELECT count(*) FROM idempotency_keys WHERE user_id = $1", stranger
    )
    assert kept == 0


async def test_the_same_key_of_two_users_is_two_keys(books: Books, servers: DevStack) -> None:
    key = str(uuid4())
    await claimed(books, key)

    async with audited_books(servers.env["SHERWOOD_DATABASE_URL"]) as other:
        assert (await claimed(other, key, b"other")).state == "new"


async def test_who_repeats_while_the_first_attempt_is_under_way_joins_it(books: Books) -> None:
    key = str(uuid4())
    first = await claimed(books, key, price=20_000)
    # A machine may stand still for longer than the attempt is taken to be under way.
    await books.pool.execute(
        "UPDATE placing_locks SET expires_at = expires_at + interval '1 hour' WHERE user_id = $1",
        books.user_id,
    )

    again = await claimed(books, key, price=21_000)

    assert (again.state, again.last_price_cents) == ("known", 20_000)
    assert again.claimed_at_ms == first.claimed_at_ms


async def test_a_key_whose_order_never_came_to_be_is_admitted_again(books: Books) -> None:
    key = str(uuid4())
    first = await claimed(books, key, price=20_000)
    await books.forget_admission()
    # Both may be claimed within one millisecond.
    await books.pool.execute(
        "UPDATE idempotency_keys SET claimed_at = claimed_at - interval '1 second' "
        "WHERE user_id = $1",
        books.user_id,
    )

    again = await claimed(books, key, price=21_000)

    assert (again.state, again.last_price_cents) == ("known", 21_000)
    assert again.claimed_at_ms >= first.claimed_at_ms


async def test_a_key_whose_order_exists_keeps_its_time_and_price(books: Books) -> None:
    key = str(uuid4())
    start = await books.claim(key)
    await books.orders.reserve(start)

    again = await claimed(books, key, price=25_000)

    assert (again.state, again.reply) == ("known", None)
    assert (again.claimed_at_ms, again.last_price_cents) == (start.claimed_at_ms, 20_000)


async def test_a_key_with_a_reply_replays_it(books: Books) -> None:
    key = str(uuid4())
    state = await books.orders.reserve(await books.claim(key, shares=51))

    again = await claimed(books, key, price=25_000)

    assert state.reply is not None
    assert again.reply == state.reply
    assert again.last_price_cents == 20_000
    assert await stored_reply(books.pool, books.user_id, key) == state.reply


async def test_a_key_without_a_reply_has_none(books: Books) -> None:
    key = str(uuid4())
    await claimed(books, key)

    assert await stored_reply(books.pool, books.user_id, key) is None
    assert await stored_reply(books.pool, books.user_id, str(uuid4())) is None


async def test_of_twenty_equal_claims_at_once_one_is_new(books: Books) -> None:
    key = str(uuid4())

    async with asyncio.TaskGroup() as tasks:
        claims = [tasks.create_task(claimed(books, key)) for _ in range(20)]

    states = [claim.result().state for claim in claims]
    assert states.count("new") == 1
    assert states.count("known") == 19
