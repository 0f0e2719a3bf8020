"""Rate limits and the placing lock over HTTP: what is refused, what it costs, what is told."""

import asyncio
from functools import partial
from typing import Any
from uuid import uuid4

import httpx

from api.waits import WAITS_PER_USER_MAX
from brokerage.contracts.ids import order_id_for
from devstack.stack import DevStack
from tests.support.accounts import Account, account
from tests.support.eventually import eventually
from tests.support.trading import (
    END_SECONDS,
    RESTING,
    answered,
    at_database,
    cancelled,
    no_rate_limit,
    place,
    placed,
    read,
)

ANOTHER = {**RESTING, "numShares": 2}


async def rate(stack: DevStack, alice: Account, per_second: int, burst: int) -> None:
    """Give one user a rate of their own."""
    await at_database(
        stack,
        "INSERT INTO limits (name, subject, value) "
        "VALUES ('user-orders-per-second', $1, $2), ('user-orders-burst', $1, $3) "
        "ON CONFLICT (name, subject) DO UPDATE SET value = EXCLUDED.value",
        alice.user,
        per_second,
        burst,
    )


async def lock_ends(stack: DevStack, alice: Account, seconds: float) -> None:
    """Let what holds her up do so for this much longer, however late it is."""
    await at_database(
        stack,
        "UPDATE placing_locks SET expires_at = clock_timestamp() + make_interval(secs => $2) "
        "WHERE user_id = $1",
        alice.user,
        seconds,
    )


async def hold_lock(stack: DevStack, alice: Account, seconds: float) -> None:
    """Make it look as if another order of hers for IBM were on its way."""
    await at_database(
        stack,
        "INSERT INTO placing_locks (user_id, symbol, order_id, expires_at) VALUES "
        "($1, 'IBM', gen_random_uuid(), clock_timestamp() + make_interval(secs => $2))",
        alice.user,
        seconds,
    )


async def next_token(stack: DevStack, alice: Account, seconds: float) -> None:
    """Make it look as if she had placed so much that she has to wait so long for her next token."""
    await at_database(
        stack,
        "UPDATE order_rates SET tat = clock_timestamp() + make_interval(secs => $2) "
        "WHERE scope = 'user' AND subject = $1",
        alice.user,
        seconds,
    )


async def stored(alice: Account, key: str) -> list[dict[str, Any]]:
    """The orders that a key stands for."""
    page = await alice.http.get("/orders", params={"idempotencyKey": key})
    items: list[dict[str, Any]] = page.json()["items"]
    return items


# -- rates -------------------------------------------------------------------------------------


async def test_one_order_too_many_is_refused_until_there_is_a_token_again(stack: DevStack) -> None:
    refused_key = str(uuid4())
    async with account(stack.api_url) as alice, account(stack.api_url) as bob:
        await rate(stack, alice, per_second=1, burst=1)
        await placed(alice, RESTING)
        await next_token(stack, alice, 60)
        refused = await answered(alice, ANOTHER, 429, refused_key)
        kept = await stored(alice, refused_key)
        await placed(bob, RESTING)
        await next_token(stack, alice, 2)

        async def is_taken_with_other_terms() -> bool:
            # Nothing was remembered against the key: it may even mean another order now.
            answer = await place(alice, RESTING, refused_key)
            return answer.status_code == 201

        await eventually(is_taken_with_other_terms, "there is a token again")

    problem = refused.json()
    assert (problem["code"], problem["retryable"]) == ("rate-limited", True)
    assert (problem["scope"], problem["limitPerSecond"]) == ("user", 1)
    assert 30 < int(refused.headers["retry-after"]) <= 60
    assert refused.headers["ratelimit-remaining"] == "0"
    assert kept == []


async def test_who_has_no_token_left_still_gets_replays_cancels_and_reads(stack: DevStack) -> None:
    key = str(uuid4())
    async with account(stack.api_url) as alice:
        await rate(stack, alice, per_second=1, burst=1)
        first = await answered(alice, RESTING, 201, key)
        # From now on there is none at all.
        await rate(stack, alice, per_second=0, burst=0)
        replays = [await answered(alice, RESTING, 201, key) for _ in range(5)]
        refused = await answered(alice, RESTING, 429)
        await cancelled(alice, first.json()["id"])
        listed = await alice.http.get("/orders")

    assert {replay.content for replay in replays} == {first.content}
    assert {replay.headers["idempotent-replayed"] for replay in replays} == {"true"}
    assert refused.json()["code"] == "rate-limited"
    assert listed.status_code == 200


async def test_every_answer_to_a_user_says_what_is_left(stack: DevStack) -> None:
    key = str(uuid4())
    async with account(stack.api_url) as alice:
        await rate(stack, alice, per_second=1, burst=7)
        before = await alice.http.get("/portfolio")
        first = await answered(alice, RESTING, 201, key)
        refused = await answered(alice, ANOTHER, 422, key)
        answers = [
            await alice.http.get("/orders"),
            await alice.http.get("/order/nonsense"),
            await alice.http.post("/order", json={}),
            await alice.http.delete(first.headers["location"]),
        ]
        for path in ("/subscribe?symbols=SPY", "/orders/stream"):
            async with alice.http.stream("GET", path) as stream:
                answers.append(stream)
        alice.http.headers.pop("authorization")
        unnamed = await alice.http.get("/orders")

    assert before.headers["ratelimit-limit"] == "20"  # everybody's: she had placed nothing yet
    assert refused.json()["code"] == "idempotency-key-reused"
    for answer in (first, refused, *answers):
        assert answer.headers["ratelimit-limit"] == "7"
        assert answer.headers["ratelimit-remaining"] in ("6", "7")
        assert answer.headers["ratelimit-reset"] in ("0", "1")
    assert "ratelimit-limit" not in unnamed.headers


# -- the placing lock --------------------------------------------------------------------------


async def test_an_order_waits_a_moment_for_the_one_before_it(stack: DevStack) -> None:
    async with account(stack.api_url) as alice:
        await hold_lock(stack, alice, seconds=0.1)

        order = await placed(alice, RESTING)

    assert order["status"] == "submitted"


async def test_an_order_that_waited_too_long_is_refused_and_forgotten(stack: DevStack) -> None:
    key = str(uuid4())
    async with account(stack.api_url) as alice:
        await hold_lock(stack, alice, seconds=60)
        refused = await answered(alice, RESTING, 409, key)
        kept = await stored(alice, key)
        await placed(alice, {**RESTING, "symbol": "SPY"})
        await at_database(stack, "DELETE FROM placing_locks WHERE user_id = $1", alice.user)
        # Nothing was remembered against the key: it may even mean another order now.
        await placed(alice, ANOTHER, key)

    assert refused.json()["code"] == "placing-in-progress"
    assert refused.json()["retryable"] is True
    assert refused.headers["retry-after"] == "1"
    assert kept == []


STATUS_BY_CODE = {None: "submitted", "not-sent-in-time": "rejected", "not-placed": "failed"}


async def test_a_worker_that_died_with_the_lock_holds_nobody_up_for_long(stack: DevStack) -> None:
    first_key, second_key = str(uuid4()), str(uuid4())
    async with account(stack.api_url) as alice:
        await stack.stop("orders-1")
        try:
            first = await place(alice, RESTING, first_key)
            await lock_ends(stack, alice, 30)
            second = await answered(alice, ANOTHER, 409, second_key)
            await lock_ends(stack, alice, 1)

            async def has_the_lock() -> bool:
                answer = await place(alice, ANOTHER, second_key)
                assert answer.status_code in (409, 503)
                return answer.status_code == 503

            await eventually(has_the_lock, "the lock has ended by itself")
            # Its lock is gone and its order is none yet: it is admitted like a new one, while the
            # workflow of the first admission is still there.
            await at_database(stack, "DELETE FROM placing_locks WHERE user_id = $1", alice.user)
            repeated = await place(alice, RESTING, first_key)
        finally:
            await stack.start("orders-1")

        async def is_answered(key: str, body: dict[str, Any]) -> None:
            answer = await place(alice, body, key)
            # Whoever waited past send-by is told so, for good; whom the exchange could not be asked
            # about until then, too.
            assert answer.status_code in (201, 422), answer.text

        for key, body in ((first_key, RESTING), (second_key, ANOTHER)):
            await eventually(partial(is_answered, key, body), "it is answered", END_SECONDS)
        listed = (await alice.http.get("/orders")).json()["items"]
        replies = [await place(alice, RESTING, first_key), await place(alice, ANOTHER, second_key)]
        final = [
            await read(alice, order_id_for(alice.user, key)) for key in (first_key, second_key)
        ]

    assert (first.status_code, second.status_code, repeated.status_code) == (503, 409, 503)
    assert len(listed) == 2
    for reply, order in zip(replies, final, strict=True):
        assert reply.headers["idempotent-replayed"] == "true"
        assert order["status"] == STATUS_BY_CODE[reply.json().get("code")]


async def test_a_crowd_of_one_users_orders_takes_no_connection_from_the_others(
    stack: DevStack,
) -> None:
    symbols = ("SPY", "IBM", "AIG", "BAC")
    async with account(stack.api_url) as alice, account(stack.api_url) as bob:
        await no_rate_limit(stack, alice)
        # Whoever is slow or fast: for one of the symbols, nobody has a turn.
        await hold_lock(stack, alice, seconds=60)
        async with asyncio.TaskGroup() as tasks:
            crowd = [
                tasks.create_task(place(alice, {**RESTING, "symbol": symbols[number % 4]}))
                for number in range(60)
            ]
            his = tasks.create_task(bob.http.get("/portfolio"))
        answers = [task.result() for task in crowd]

    assert his.result().status_code == 200
    statuses = {answer.status_code for answer in answers}
    assert 409 in statuses
    assert statuses & {201, 202}
    assert not any("the database did not answer" in answer.text for answer in answers)


# -- waiting for an order ----------------------------------------------------------------------


async def test_a_user_waits_for_orders_so_often_at_once_and_not_once_more(
    stack: DevStack,
) -> None:
    async with account(stack.api_url) as alice:
        order = await placed(alice, RESTING)
        address = f"/order/{order['id']}"
        newer = {"afterVersion": order["version"]}
        async with asyncio.TaskGroup() as tasks:
            waiting = [
                tasks.create_task(waits(alice, address, newer))
                for _ in range(WAITS_PER_USER_MAX + 1)
            ]
            await eventually(lambda: any(task.done() for task in waiting), "one is refused")
            [refused] = [task.result() for task in waiting if task.done()]
            await cancelled(alice, order["id"])
        answers = [task.result() for task in waiting if task.result() is not refused]

    assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
    assert {answer.status_code for answer in answers} == {200}
    assert all(answer.json()["version"] > order["version"] for answer in answers)


async def waits(alice: Account, address: str, newer: dict[str, int]) -> httpx.Response:
    """The answer to who waits; asked again where the machine is too busy."""

    async def attempt() -> httpx.Response:
        answer = await alice.http.get(address, params=newer)
        assert answer.is_success or answer.json()["code"] == "overloaded", answer.text
        return answer

    answer: httpx.Response = await eventually(attempt, "who waits is answered", END_SECONDS)
    return answer
