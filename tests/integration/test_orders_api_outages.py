"""What is known is replayed while a part is away, what is new gets 202 or 503, which are not kept.

How every request fares when a part goes or freezes in the middle of it: test_bad_days.py.
"""

from typing import Any
from uuid import uuid4

import httpx

from devstack.stack import DevStack
from tests.support.accounts import account
from tests.support.away import away
from tests.support.eventually import eventually

RESTING: dict[str, Any] = {
    "position": "buy",
    "symbol": "IBM",
    "priceInCents": 100,
    "numShares": 1,
    "timeInForce": "gtc",
}
RECOVERY_SECONDS = 60.0


async def place(http: httpx.AsyncClient, body: dict[str, Any], key: str) -> httpx.Response:
    return await http.post("/order", json=body, headers={"idempotency-key": key})


async def answers(http: httpx.AsyncClient, body: dict[str, Any], key: str, status: int) -> None:
    async def does() -> bool:
        return (await place(http, body, key)).status_code == status

    await eventually(does, f"the placement is answered with {status}", RECOVERY_SECONDS)


async def feed_is_silent(http: httpx.AsyncClient) -> None:
    async def is_so() -> bool:
        # Each time with a key of its own: an answer that was given once is replayed.
        answer = await place(http, {**RESTING, "numShares": 2}, str(uuid4()))
        return answer.status_code == 503

    await eventually(is_so, "placements are refused", RECOVERY_SECONDS)


async def status_becomes(http: httpx.AsyncClient, order_id: str, status: str) -> None:
    seen: dict[str, Any] = {}

    async def is_so() -> bool:
        seen.update((await http.get(f"/order/{order_id}")).json())
        return bool(seen.get("status") == status)

    try:
        await eventually(is_so, f"the order is {status}", RECOVERY_SECONDS)
    except AssertionError as error:
        raise AssertionError(f"last seen: {seen}") from error


def assert_unavailable(response: httpx.Response, code: str = "unavailable") -> None:
    assert response.status_code == 503, response.text
    assert response.json()["code"] == code
    assert response.json()["retryable"] is True
    assert response.headers["retry-after"] == "1"


async def test_unknown_outcome_is_accepted_and_resolved(stack: DevStack) -> None:
    key = str(uuid4())
    async with account(stack.api_url) as alice:
        async with away(stack, "gateway"):
            unknown = await place(alice.http, RESTING, key)
            again = await place(alice.http, RESTING, key)
        order_id = unknown.json()["id"]
        await status_becomes(alice.http, order_id, "submitted")
        known = await place(alice.http, RESTING, key)
        listed = (await alice.http.get("/orders")).json()["items"]

    assert (unknown.status_code, again.status_code) == (202, 202)
    assert unknown.json()["status"] == "pending"
    assert unknown.json()["outcome"] == "unknown"
    assert unknown.headers["location"] == f"/order/{order_id}"
    assert unknown.headers["retry-after"] == "1"
    assert "idempotent-replayed" not in again.headers
    assert known.status_code == 201
    assert known.headers["idempotent-replayed"] == "true"
    assert len(listed) == 1


async def test_without_temporal_nothing_is_placed_but_answers_are_replayed(
    stack: DevStack,
) -> None:
    old, new = str(uuid4()), str(uuid4())
    async with account(stack.api_url) as alice:
        first = await place(alice.http, RESTING, old)
        async with away(stack, "temporal"):
            refused = await place(alice.http, RESTING, new)
            replayed = await place(alice.http, RESTING, old)
            listed = await alice.http.get("/orders")
        await answers(alice.http, RESTING, new, 201)
        orders = (await alice.http.get("/orders")).json()["items"]

    assert_unavailable(refused)
    assert replayed.content == first.content
    assert listed.status_code == 200
    assert len(orders) == 2


async def test_without_the_feed_only_what_is_known_is_answered(stack: DevStack) -> None:
    old, new = str(uuid4()), str(uuid4())
    async with account(stack.api_url) as alice:
        first = await place(alice.http, RESTING, old)
        async with away(stack, "feed-1", "feed-2"):
            await feed_is_silent(alice.http)
            refused = await place(alice.http, RESTING, new)
            replayed = await place(alice.http, RESTING, old)
            reused = await place(alice.http, {**RESTING, "numShares": 3}, old)
        await answers(alice.http, {**RESTING, "numShares": 4}, new, 201)

    assert_unavailable(refused, "feed-stale")
    assert replayed.content == first.content
    assert replayed.headers["idempotent-replayed"] == "true"
    assert reused.status_code == 422
    assert reused.json()["code"] == "idempotency-key-reused"
