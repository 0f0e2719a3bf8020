"""How many orders may be placed, decided by Postgres at times that the test chooses."""

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import pytest

from brokerage.contracts.ids import order_id_for
from devstack.stack import DevStack
from tests.support.books import Books, books_of_a_new_user
from tests.support.own_database import own_database

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
TOKEN = timedelta(milliseconds=100)
BURST = 20


@pytest.fixture(scope="module")
async def database_url(servers: DevStack) -> AsyncIterator[str]:
    """A database whose limits, and whose time, are this file's."""
    async with own_database(servers.env["SHERWOOD_DATABASE_URL"]) as url:
        yield url


@pytest.fixture(autouse=True)
async def nothing_placed_yet(database_url: str) -> None:
    """A test may begin before another one ended."""
    database = await asyncpg.connect(database_url)
    await database.execute("TRUNCATE order_rates, placing_locks")
    await database.close()


@pytest.fixture
async def alice(database_url: str) -> AsyncIterator[Books]:
    """A user who has placed nothing yet."""
    async with books_of_a_new_user(database_url) as books:
        yield books


@pytest.fixture
async def bob(database_url: str) -> AsyncIterator[Books]:
    """Another one."""
    async with books_of_a_new_user(database_url) as books:
        yield books


async def claim(
    books: Books,
    at: datetime = NOON,
    symbol: str | None = None,
    key: str | None = None,
    body: bytes = b"",
) -> asyncpg.Record:
    """Claim a key, a new one unless it is named; of a symbol of its own unless one is named."""
    key = key or str(uuid4())
    row = await books.pool.fetchrow(
        "SELECT * FROM claim_key($1, $2, $3, $4, $5, 20000, $6)",
        books.user_id,
        key,
        order_id_for(books.user_id, key),
        symbol or a_symbol(),
        body,
        at,
    )
    assert row is not None
    return row


async def states(books: Books, orders: int, at: datetime = NOON) -> list[str]:
    """What so many claims one after the other come to."""
    return [(await claim(books, at))["state"] for _ in range(orders)]


async def limit(books: Books, name: str, subject: str, value: int) -> None:
    """Set a limit for one subject."""
    await books.pool.execute(
        "INSERT INTO limits (name, subject, value) VALUES ($1, $2, $3) "
        "ON CONFLICT (name, subject) DO UPDATE SET value = EXCLUDED.value",
        name,
        subject,
        value,
    )


def a_symbol() -> str:
    """One that no other order names."""
    return uuid4().hex[:12].upper()


# -- a user's rate -----------------------------------------------------------------------------


async def test_twenty_orders_may_come_at_once_and_one_more_each_100_ms(alice: Books) -> None:
    assert await states(alice, BURST + 2) == ["new"] * BURST + ["rate-limited"] * 2

    assert await states(alice, 2, NOON + TOKEN) == ["new", "rate-limited"]
    assert await states(alice, 4, NOON + 4 * TOKEN) == ["new"] * 3 + ["rate-limited"]
    assert await states(alice, 1, NOON + 5 * TOKEN - timedelta(microseconds=1)) == ["rate-limited"]


async def test_a_rested_user_has_the_burst_and_no_more(alice: Books) -> None:
    await states(alice, BURST)

    later = NOON + timedelta(hours=1)

    assert await states(alice, BURST + 1, later) == ["new"] * BURST + ["rate-limited"]


async def test_a_refusal_says_which_limit_and_when_to_come_back(alice: Books) -> None:
    await states(alice, BURST)

    refused = await claim(alice, NOON + 0.25 * TOKEN)

    assert (refused["refused_by"], refused["per_second"]) == ("user", 10)
    assert refused["retry_after_seconds"] == pytest.approx(0.075)


async def test_a_claim_says_what_is_left(alice: Books) -> None:
    first = await claim(alice)
    second = await claim(alice, NOON + 0.5 * TOKEN)
    mismatch_key = str(uuid4())
    await claim(alice, key=mismatch_key)
    mismatch = await claim(alice, key=mismatch_key, body=b"other")

    assert (first["burst"], first["token_seconds"]) == (BURST, pytest.approx(0.1))
    assert first["full_in_seconds"] == pytest.approx(0.1)
    assert second["full_in_seconds"] == pytest.approx(0.15)
    assert mismatch["full_in_seconds"] == pytest.approx(0.3)


@pytest.mark.parametrize(("rate", "burst"), [(1, 1), (10, 20), (250, 3)])
async def test_any_arrivals_are_admitted_as_by_a_bucket_of_tokens(
    alice: Books, rate: int, burst: int
) -> None:
    chance = random.Random(f"{rate}/{burst}")
    await limit(alice, "user-orders-per-second", alice.user_id, rate)
    await limit(alice, "user-orders-burst", alice.user_id, burst)
    token_us = 1_000_000 // rate
    at, missing_us = NOON, 0
    seen: list[str] = []
    expected: list[str] = []

    for _ in range(150):
        gap_us = chance.choice([0, 0, 1, token_us - 1, token_us, chance.randint(0, 3 * token_us)])
        at += timedelta(microseconds=gap_us)
        missing_us = max(0, missing_us - gap_us)
        admitted = missing_us + token_us <= burst * token_us
        missing_us += token_us if admitted else 0
        expected.append("new" if admitted else "rate-limited")
        seen.append((await claim(alice, at))["state"])

    assert seen == expected
    assert {"new", "rate-limited"} == set(seen)


async def test_two_users_do_not_disturb_each_other(alice: Books, bob: Books) -> None:
    await states(alice, BURST)

    assert await states(alice, 1) == ["rate-limited"]
    assert await states(bob, BURST) == ["new"] * BURST


async def test_a_users_own_row_wins_over_everybodys(alice: Books, bob: Books) -> None:
    await limit(alice, "user-orders-per-second", alice.user_id, 1000)
    await limit(alice, "user-orders-burst", alice.user_id, 30)

    assert await states(alice, 31) == ["new"] * 30 + ["rate-limited"]
    assert await states(alice, 2, NOON + timedelta(milliseconds=1)) == ["new", "rate-limited"]
    assert await states(bob, BURST + 1) == ["new"] * BURST + ["rate-limited"]


async def test_a_clock_that_was_set_back_locks_nobody_out(alice: Books) -> None:
    await states(alice, BURST, NOON + timedelta(hours=1))

    assert await states(alice, BURST + 1) == ["new"] * BURST + ["rate-limited"]


async def test_a_rate_of_zero_lets_nothing_through(alice: Books) -> None:
    await limit(alice, "user-orders-per-second", alice.user_id, 0)

    refused = await claim(alice)

    assert (refused["state"], refused["burst"]) == ("rate-limited", 0)
    assert refused["retry_after_seconds"] == 3600


async def test_a_hundred_claims_at_once_on_eight_connections_admit_the_burst(
    alice: Books,
) -> None:
    async with asyncio.TaskGroup() as tasks:
        claims = [tasks.create_task(claim(alice)) for _ in range(100)]

    assert alice.pool.get_max_size() == 8
    admitted = [task.result()["state"] for task in claims].count("new")
    assert admitted == BURST
    assert await alice.count("idempotency_keys") == BURST


async def test_repeats_and_reused_keys_cost_no_token(alice: Books) -> None:
    key, symbol = str(uuid4()), a_symbol()
    await claim(alice, key=key, symbol=symbol)

    repeats = [(await claim(alice, key=key, symbol=symbol))["state"] for _ in range(30)]
    reused = [(await claim(alice, key=key, symbol=symbol, body=b"x"))["state"] for _ in range(3)]

    assert repeats == ["known"] * 30
    assert reused == ["mismatch"] * 3
    assert await states(alice, BURST) == ["new"] * (BURST - 1) + ["rate-limited"]


# -- the limits of a symbol, and of all --------------------------------------------------------


async def taken_by(books: Books) -> tuple[int, int, int]:
    """How many keys, locks and rates the user has."""
    rates: int = await books.pool.fetchval(
        "SELECT count(*) FROM order_rates WHERE scope = 'user' AND subject = $1 AND tat > $2",
        books.user_id,
        NOON,
    )
    return await books.count("idempotency_keys"), await books.count("placing_locks"), rates


async def test_a_symbols_limit_refuses_all_its_users_and_takes_nothing(
    alice: Books, bob: Books
) -> None:
    symbol = a_symbol()
    await limit(alice, "symbol-orders-per-second", symbol, 1)
    assert (await claim(alice, symbol=symbol))["state"] == "new"

    refused = await claim(bob, symbol=symbol)

    assert (refused["state"], refused["refused_by"]) == ("rate-limited", "symbol")
    assert (refused["per_second"], refused["retry_after_seconds"]) == (1, 1)
    assert await taken_by(bob) == (0, 0, 0)
    assert (await claim(bob))["state"] == "new"
    later = await claim(bob, NOON + timedelta(seconds=1), symbol)
    assert later["state"] == "new"


async def test_the_limit_of_all_refuses_every_user_and_takes_nothing(servers: DevStack) -> None:
    async with (
        own_database(servers.env["SHERWOOD_DATABASE_URL"]) as url,
        books_of_a_new_user(url) as alice,
        books_of_a_new_user(url) as bob,
    ):
        await limit(alice, "global-orders-per-second", "", 2)
        symbol = a_symbol()
        await limit(alice, "symbol-orders-per-second", symbol, 1)
        assert await states(alice, 2) == ["new", "new"]

        refused = await claim(bob, symbol=symbol)

        assert (refused["state"], refused["refused_by"]) == ("rate-limited", "global")
        assert (refused["per_second"], refused["retry_after_seconds"]) == (2, 0.5)
        assert await taken_by(bob) == (0, 0, 0)
        # The symbol's only token is still there.
        later = await claim(bob, NOON + timedelta(seconds=0.5), symbol)
        assert later["state"] == "new"


async def test_a_busy_limit_in_several_slots_is_worth_exactly_their_sum(
    alice: Books, bob: Books
) -> None:
    symbol = a_symbol()
    await limit(alice, "symbol-orders-per-second", symbol, 250)
    for user in (alice, bob):
        await limit(user, "user-orders-burst", user.user_id, 1000)
    seen: list[str] = []
    for number in range(251):
        user = (alice, bob)[number % 2]
        seen.append((await claim(user, symbol=symbol))["state"])
        await user.pool.execute("DELETE FROM placing_locks WHERE user_id = $1", user.user_id)

    assert seen == ["new"] * 250 + ["rate-limited"]
    slots = await alice.pool.fetch("SELECT slot FROM order_rates WHERE subject = $1", symbol)
    assert len(slots) == 2


async def test_a_limit_that_was_raised_is_worth_what_it_says(alice: Books) -> None:
    symbol = a_symbol()
    await limit(alice, "user-orders-burst", alice.user_id, 1000)
    await limit(alice, "symbol-orders-per-second", symbol, 1)
    await claim(alice, symbol=symbol)
    await limit(alice, "symbol-orders-per-second", symbol, 300)
    seen: list[str] = []
    for _ in range(300):
        await alice.pool.execute("DELETE FROM placing_locks WHERE user_id = $1", alice.user_id)
        seen.append((await claim(alice, symbol=symbol))["state"])

    # What was taken before was the first slot's whole share.
    assert seen.count("new") == 200
    assert seen[:200] == ["new"] * 200


# -- what is kept ------------------------------------------------------------------------------


async def rows_of(books: Books) -> tuple[int, int]:
    """The user's rates and locks that are kept."""
    rates: int = await books.pool.fetchval(
        "SELECT count(*) FROM order_rates WHERE scope = 'user' AND subject = $1", books.user_id
    )
    return rates, await books.count("placing_locks")


async def test_what_says_nothing_any_more_is_removed_by_the_next_claim_of_anybody(
    alice: Books, bob: Books
) -> None:
    await claim(alice)
    assert await rows_of(alice) == (1, 1)

    await claim(bob, NOON + timedelta(days=1))

    assert await rows_of(alice) == (0, 0)
    assert await rows_of(bob) == (1, 1)


async def test_what_is_still_worth_something_is_kept(alice: Books, bob: Books) -> None:
    at = NOON + timedelta(days=2)
    await claim(bob, at)
    await states(alice, BURST, at + timedelta(seconds=9.9))

    await claim(bob, at + timedelta(seconds=10))

    assert await rows_of(alice) == (1, BURST)
    assert await rows_of(bob) == (1, 1)
