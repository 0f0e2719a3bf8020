"""What must be there before a start from a loss begins: looked for a few seconds, then refused."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any, Final, TypeVar

from temporalio.client import Client

from brokerage.bus.connection import Bus, open_bus
from brokerage.runtime.settings import Settings
from brokerage.storage.pool import Pool, open_pool
from workers.temporal import connect_temporal

LOOK_SECONDS: Final = 10.0

Tell = Callable[[str], None]
Opened = TypeVar("Opened")


class Refused(Exception):
    """Something is missing, or still has to be done; the text says what."""


class Reached:
    """The servers that a recovery needs, opened on `stack`; each raises `Refused` if it is away."""

    def __init__(self, settings: Settings, stack: AsyncExitStack) -> None:
        self._settings = settings
        self._stack = stack

    async def postgres(self) -> "Pool[Any]":
        """Our rows."""
        return await self._entered("Postgres", open_pool(self._settings))

    async def nats(self) -> Bus:
        """The bus."""
        return await self._entered("NATS", open_bus(self._settings.nats_url, "recover"))

    async def temporal(self) -> Client:
        """Temporal, with or without anything in it."""
        return await _in_time("Temporal", connect_temporal(self._settings))

    async def _entered(self, name: str, opening: AbstractAsyncContextManager[Opened]) -> Opened:
        return await _in_time(name, self._stack.enter_async_context(opening))


async def _in_time(name: str, opening: Awaitable[Opened]) -> Opened:
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            return await opening
    except TimeoutError:
        raise Refused(f"{name} does not answer: start it, with whatever is left of it") from None
