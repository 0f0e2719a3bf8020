"""Changing what nobody may change, as who owns the database could."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.support.books import Books


@asynccontextmanager
async def opened_to_tamper(books: Books) -> AsyncIterator[Any]:
    """A connection of somebody who owns the database; what is done here is undone in the end."""
    async with books.pool.acquire() as database:
        transaction = database.transaction()
        await transaction.start()
        try:
            await database.execute("SET LOCAL session_replication_role = replica")
            # A vacuum of a table whose checks are dropped gives way only after a second.
            for limit in ("lock_timeout", "idle_in_transaction_session_timeout"):
                await database.execute(f"SET LOCAL {limit} = 0")
            yield database
        finally:
            await transaction.rollback()
