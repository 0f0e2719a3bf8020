"""What a user does over HTTP on a whole stack, and what came of it."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final
from uuid import uuid4

import asyncpg
import httpx

from devstack.stack import DevStack
from tests.support.accounts import Account
from tests.support.eventually import eventually

Order = dict[str, Any]

RESTING: Final[Order] = {
    "position": "buy",
    "symbol": "IBM",
    "priceInCents": 100,
    "numShares": 1,
    "timeInForce": "gtc",
}
"""So far below the market that it never trades."""
MARKET: Final[Order] = {"position": "buy", "symbol": "SPY", "numShares": 2}
"""Trades at once."""
END_SECONDS: Final = 60.0
"""Send-by, the exchange's visibility bound, and pauses that grow to ten seconds."""
UNKNOWN_SECONDS: Final = 1.9
"""How long nothing is known of a placement whose first two calls the exchange leaves hanging."""


async def place(alice: Account, body: Order, key: str | None = None) -> httpx.Response:
    """The answer to a placement."""
    return await alice.http.post(
        "/order", json=body, headers={"idempotency-key": key or str(uuid4())}
    )


async def answer_of(
    ask: Callable[[], Awaitable[httpx.Response]], what: str, *status_codes: int
) -> httpx.Response:
    """The answer once it has one of these codes; asked for again where the machine is too busy."""

    async def attempt() -> httpx.Response:
        answer = await ask()
        assert answer.status_code in status_codes, answer.text
        return answer

    answer: httpx.Response = await eventually(attempt, what, END_SECONDS)
    return answer


async def answered(
    alice: Account, body: Order, status_code: int, key: str | None = None
) -> httpx.Response:
    """The answer to a placement once it is this one; repeated with its key."""
    ask = partial(place, alice, body, key or str(uuid4()))
    return await answer_of(ask, f"the placement is answered with {status_code}", status_code)


async def placed(alice: Account, body: Order, key: str | None = None) -> Order:
    """An order that the exchange has; repeated with its key where the machine is too busy."""
    order: Order = (await answered(alice, body, 201, key)).json()
    return order


async def decided(alice: Account, body: Order, key: str | None = None) -> httpx.Response:
    """The answer to a placement that its key keeps: taken, or rejected."""
    ask = partial(place, alice, body, key or str(uuid4()))
    return await answer_of(ask, "the order is decided", 201, 422)


async def cancelled(alice: Account, order_id: str) -> Order:
    """The order, cancelled by her; asked for again until the exchange has answered."""
    ask = partial(alice.http.delete, f"/order/{order_id}")
    order: Order = (await answer_of(ask, "the order is cancelled", 200)).json()["order"]
    return order


async def _look(alice: Account, order_id: str) -> Order:
    answer = await alice.http.get(f"/order/{order_id}")
    assert answer.status_code == 200, answer.text  # a problem has a `status` too
    order: Order = answer.json()
    return order


async def read(alice: Account, order_id: str) -> Order:
    """The order as it is now; asked again where the machine is too busy."""
    order: Order = await eventually(lambda: _look(alice, order_id), "it is shown", END_SECONDS)
    return order


async def standing(operator: Account, order_id: str) -> dict[str, Any]:
    """Where the order is and why, as an operator is told now."""
    answer = await operator.http.get(f"/ops/orders/{order_id}")
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def until(
    alice: Account, order_id: str, holds: Callable[[Order], bool], what: str = "the order is so"
) -> Order:
    """The order once this holds of it."""
    seen: Order = {}

    async def attempt() -> bool:
        seen.update(await _look(alice, order_id))
        return holds(seen)

    try:
        await eventually(attempt, what, END_SECONDS)
    except AssertionError as error:
        raise AssertionError(f"last seen: {seen}") from error
    return seen


async def ended(alice: Account, order_id: str, *statuses: str) -> Order:
    """The order once it has one of these statuses."""
    return await until(
        alice, order_id, lambda order: order["status"] in statuses, f"the order is {statuses}"
    )


async def held_cents(alice: Account) -> int:
    """The cash that open orders hold."""
    held: int = (await alice.http.get("/portfolio")).json()["heldCashInCents"]
    return held


async def at_database(stack: DevStack, statement: str, *values: object) -> list[asyncpg.Record]:
    """The rows of one statement."""
    database = await asyncpg.connect(stack.env["SHERWOOD_DATABASE_URL"])
    try:
        return await database.fetch(statement, *values)
    finally:
        await database.close()


async def asked_to_cancel(alice: Account, order_id: str) -> httpx.Response:
    """The answer to a cancel that is on record; asked for again where the machine is too busy."""
    ask = partial(alice.http.delete, f"/order/{order_id}")
    return await answer_of(ask, "the cancel is on record", 200, 202)


def assert_unknown(answer: httpx.Response) -> None:
    """Fail unless it says that nobody knows what became of a placement whose first two calls hang
    for a second each; on a machine so slow that they had passed, something else is true.
    """
    if answer.elapsed.total_seconds() < UNKNOWN_SECONDS:
        assert (answer.status_code, answer.json()["outcome"]) == (202, "unknown")
        assert answer.json()["status"] == "pending"
    assert answer.status_code in (201, 202, 503)


async def no_rate_limit(stack: DevStack, alice: Account) -> None:
    """Let one user place as fast as the test can."""
    for name in ("user-orders-per-second", "user-orders-burst"):
        await at_database(
            stack,
            "INSERT INTO limits (name, subject, value) VALUES ($1, $2, 100000) "
            "ON CONFLICT (name, subject) DO UPDATE SET value = EXCLUDED.value",
            name,
            alice.user,
        )


async def kinds_of_events(stack: DevStack, order_id: str) -> list[str]:
    """What happened to an order, in order."""
    rows = await at_database(
        stack, "SELECT kind FROM order_events WHERE order_id = $1 ORDER BY version, seq", order_id
    )
    return [row["kind"] for row in rows]


def by_id(items: Sequence[Order]) -> dict[str, Order]:
    """What `DELETE /orders` says, by order."""
    return {item["id"]: item for item in items}
