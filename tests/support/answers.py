"""Answers that are waited for where a busy node may say something else first."""

from collections.abc import Awaitable, Callable

import httpx

from tests.support.accounts import Account
from tests.support.eventually import eventually
from tests.support.trading import END_SECONDS, Order, place


async def refused(ask: Callable[[], Awaitable[httpx.Response]], code: str) -> None:
    """Return once the answer is this refusal, with half a minute until it may be another one.

    Where an order is asked for, its key must be the same each time: what has passed once is never
    refused then.
    """

    async def so() -> None:
        answer = await ask()
        assert (answer.status_code, answer.json().get("code")) == (503, code), answer.text
        assert answer.json()["retryable"] is True
        assert answer.headers["retry-after"] == "30"

    await eventually(so, f"the answer is {code}")


async def decided(alice: Account, body: Order, key: str) -> httpx.Response:
    """The answer to a placement that its key keeps: taken, or rejected."""

    async def attempt() -> httpx.Response:
        answer = await place(alice, body, key)
        assert answer.status_code in (201, 422), answer.text
        return answer

    answer: httpx.Response = await eventually(attempt, "the order is decided", END_SECONDS)
    return answer
