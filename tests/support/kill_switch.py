"""The kill switch as a test sets it, and puts it back."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from tests.support.accounts import Account
from tests.support.eventually import eventually


def path_of(user: str | None = None, symbol: str | None = None) -> str:
    """The route of one switch."""
    if user is not None:
        return f"/ops/kill-switch/users/{user}"
    return "/ops/kill-switch" + ("" if symbol is None else f"/symbols/{symbol}")


async def set_level(
    operator: Account, level: int, *, user: str | None = None, symbol: str | None = None
) -> httpx.Response:
    """The answer to setting it."""
    change = {"level": level, "reason": "a test of the kill switch"}
    return await operator.http.put(path_of(user, symbol), json=change)


async def set_at_last(
    operator: Account, level: int, *, user: str | None = None, symbol: str | None = None
) -> httpx.Response:
    """The answer once it is set; asked for again where NATS is just coming back."""

    async def attempt() -> httpx.Response:
        answer = await set_level(operator, level, user=user, symbol=symbol)
        assert answer.status_code == 200, answer.text
        return answer

    answer: httpx.Response = await eventually(attempt, f"the switch is set to {level}")
    return answer


@asynccontextmanager
async def switched(
    operator: Account, level: int, *, user: str | None = None, symbol: str | None = None
) -> AsyncIterator[None]:
    """Set as long as the block."""
    await set_at_last(operator, level, user=user, symbol=symbol)
    try:
        yield
    finally:
        await set_at_last(operator, 0, user=user, symbol=symbol)
