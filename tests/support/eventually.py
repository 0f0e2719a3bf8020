"""Waiting for what becomes true in its own time; tests never sleep for a guess."""

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import Any, Final

import httpx

PAUSE_SECONDS: Final = 0.05


async def eventually(
    attempt: Callable[[], Any], what: str = "it holds", timeout_seconds: float = 30.0
) -> Any:
    """Return the first answer of `attempt` that is not False, asked again until the deadline.

    `attempt` may be a coroutine function or an ordinary one.

    An AssertionError counts as "not yet", as do an answer that did not come in time and a lost
    connection, where `attempt` has a limit of its own. The last one is the cause of the one raised
    when the time is up, which says `what` was waited for. An `attempt` that never comes back is cut
    off too.
    """
    deadline = time.monotonic() + timeout_seconds
    failure: Exception | None = None
    while time.monotonic() < deadline:
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                answer = attempt()
                if inspect.isawaitable(answer):
                    answer = await answer
        except (AssertionError, httpx.TransportError) as error:
            failure = error
        except TimeoutError as error:
            failure = failure or error
        else:
            if answer is not False:
                return answer
            failure = None
        await asyncio.sleep(PAUSE_SECONDS)
    raise AssertionError(f"waited {timeout_seconds:g} s in vain until {what}") from failure


async def comes_true(holds: Callable[[], Any], timeout_seconds: float = 30.0) -> bool:
    """Whether this held before the time was up; where it is no fault that it did not."""
    try:
        await eventually(holds, timeout_seconds=timeout_seconds)
    except AssertionError:
        return False
    return True
