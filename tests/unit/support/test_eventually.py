import asyncio
import time

import httpx
import pytest

from tests.support.eventually import eventually


@pytest.mark.parametrize(
    "trouble", [AssertionError("no"), TimeoutError(), httpx.ReadError("reset"), False]
)
async def test_what_is_not_so_yet_is_asked_again(trouble: Exception | bool) -> None:
    asked = 0

    async def attempt() -> bool:
        nonlocal asked
        asked += 1
        if asked > 2:
            return True
        if isinstance(trouble, Exception):
            raise trouble
        return trouble

    assert await eventually(attempt) is True
    assert asked == 3


async def test_the_last_reason_is_the_cause_when_the_time_is_up() -> None:
    asked = 0

    async def attempt() -> None:
        nonlocal asked
        asked += 1
        if asked > 1:
            await asyncio.Event().wait()
        raise AssertionError("why not")

    with pytest.raises(AssertionError, match="in vain until it is so") as failure:
        await eventually(attempt, "it is so", 0.5)

    assert str(failure.value.__cause__) == "why not"


async def test_what_cannot_become_true_is_told_at_once() -> None:
    began = time.monotonic()

    with pytest.raises(ZeroDivisionError):
        await eventually(lambda: 1 // 0)

    assert time.monotonic() - began < 25
