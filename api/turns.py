"""One at a time of each user, within a node."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary


class Turns:
    """Who comes at once with another request of the same user waits here, not in a connection.

    Postgres lets the claims of a user in one by one; each that waited there would hold a connection
    that other users could need.
    """

    def __init__(self) -> None:
        # A lock lives as long as somebody holds it or waits for it.
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def of(self, user_id: str, timeout_seconds: float) -> AsyncIterator[None]:
        """The user's turn; first come, first served. Raises `TimeoutError` if it does not come."""
        lock = self._locks.get(user_id)
        if lock is None:
            lock = self._locks[user_id] = asyncio.Lock()
        async with asyncio.timeout(timeout_seconds):
            await lock.acquire()
        try:
            yield
        finally:
            lock.release()
