"""What is known is replayed while a part is away, what is new gets 202 or 503, which are not kept.

How every request fares when a part goes or freezes in the middle of it: test_bad_days.py.
"""

import asyncio
import time
from uuid import uuid4

import httpx

from devstack.stack import DevStack
from tests.support.accounts import Account, account
from tests.support.away import away
from tests.support.eventually import eventually
from tests.support.trading import END_SECONDS, RESTING, answered, ended, place

SENT_AGAIN_SECONDS = 5.0
"""A gateway that is back after so long is asked again before `send_by`, whatever pause it met."""


async def feed_is_silent(alice: Account) -> None:
    async def is_so() -> bool:
        # Each time with a key of its own: an answer that was given once is replayed.
        answer = await place(alice, {**RESTING, "numShares": 2})
        return answer.status_code == 503 and answer.json()["code"] == "feed-stale"

    await eventually(is_so, "placements are refused", END_SECONDS)


async def is_on_record(alice: Account, key: str) -> httpx.Response:
    """The answer of a placement about which the exchange said nothing."""
    return await answered(alice, RESTING, 202, key)


def assert_unavailable(response: httpx.Response, code: str = "unavailable") -> None:
    assert response.status_code == 503, response.text
    assert response.json()["code"] == code
    assert response.json()["retryable"] is True
    assert response.headers["retry-after"] == "1"


async def test_unknown_outcome_is_accepted_and_resolved(stack: DevStack) -> None:
    key = str(uuid4())
    async with account(stack.api_url) as alice:
        async with away(stack, "gateway"):
            began = time.monotonic()
            # Together: each waits, and the order is to be sent again within ten seconds.
            async with asyncio.TaskGroup() as tasks:
                asked = [tasks.create_task(is_on_record(alice, key)) for _ in range(2)]
        is_soon = time.monotonic() - began < SENT_AGAIN_SECONDS
        unknown, again = [task.result() for task in asked]
        order_id = unknown.json()["id"]
        # Later it was perhaps never sent: `failed`, once that is proved.
        order = await ended(alice, order_id, "submitted", *(() if is_soon else ("failed",)))
        known = await answered(alice, RESTING, 201 if order["status"] == "submitted" else 422, key)
        listed = (await alice.http.get("/orders")).json()["items"]

    assert unknown.json()["status"] == "pending"
    assert unknown.json()["outcome"] == "unknown"
    assert unknown.headers["location"] == f"/order/{order_id}"
    assert unknown.headers["retry-after"] == "1"
    assert "idempotent-replayed" not in again.headers
    assert known.headers["idempotent-replayed"] == "true"
    assert len(listed) == 1


async def test_without_temporal_nothing_is_placed_but_answers_are_replayed(
    stack: DevStack,
) -> None:
    old, new = str(uuid4()), str(uuid4())
    async with account(stack.api_url) as alice:
        first = await answered(alice, RESTING, 201, old)
        async with away(stack, "temporal"):
            refused = await place(alice, RESTING, new)
            replayed = await place(alice, RESTING, old)
            listed = await alice.http.get("/orders")

        async def is_decided() -> bool:
            answer = await place(alice, RESTING, new)
            # Where no worker was there in time, it is refused for good.
            late = answer.status_code == 422 and answer.json()["code"] == "not-sent-in-time"
            return answer.status_code == 201 or late

        await eventually(is_decided, "the placement is answered", END_SECONDS)
        orders = (await alice.http.get("/orders")).json()["items"]

    assert_unavailable(refused)
    assert replayed.content == first.content
    assert listed.status_code == 200
    assert len(orders) == 2


async def test_without_the_feed_only_what_is_known_is_answered(stack: DevStack) -> None:
    old, new = str(uuid4()), str(uuid4())
    async with account(stack.api_url) as alice:
        first = await answered(alice, RESTING, 201, old)
        async with away(stack, "feed-1", "feed-2"):
            await feed_is_silent(alice)
            refused = await place(alice, RESTING, new)
            replayed = await place(alice, RESTING, old)
            reused = await place(alice, {**RESTING, "numShares": 3}, old)
        await answered(alice, {**RESTING, "numShares": 4}, 201, new)

    assert_unavailable(refused, "feed-stale")
    assert replayed.content == first.content
    assert replayed.headers["idempotent-replayed"] == "true"
    assert reused.status_code == 422
    assert reused.json()["code"] == "idempotency-key-reused"
