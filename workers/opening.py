"""Opening what a process needs, without being deaf to the wish that it stop meanwhile."""

import asyncio
from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any, TypeVar

Opened = TypeVar("Opened")


class StoppedEarly(Exception):
    """The process was told to stop before it had all that it needs."""


async def unless_stopped(stopping: asyncio.Event, opening: Coroutine[Any, Any, Opened]) -> Opened:
    """Return what `opening` returns; raises `StoppedEarly` if `stopping` is set before it does."""
    async with asyncio.TaskGroup() as tasks:
        opened = tasks.create_task(opening)
        stop = tasks.create_task(stopping.wait())
        await asyncio.wait({opened, stop}, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        opened.cancel()
    if opened.cancelled():
        raise StoppedEarly
    return opened.result()


async def enter(
    stack: AsyncExitStack,
    stopping: asyncio.Event,
    context: AbstractAsyncContextManager[Opened],
) -> Opened:
    """Enter `context` on `stack`, which may wait for a server; raises `StoppedEarly`."""
    return await unless_stopped(stopping, stack.enter_async_context(context))
