"""Answers that are waited for where a busy node may say something else first."""

from collections.abc import Awaitable, Callable

import httpx

from tests.support.eventually import eventually


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
