"""A database that a test has for itself, on the server all tests share."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg

from brokerage.storage.migrate import migrate


@asynccontextmanager
async def own_database(server_url: str, *, migrated: bool = True) -> AsyncIterator[str]:
    """The URL of a new database with our schema; it is gone afterwards, whoever still uses it."""
    name = f"test_{uuid4().hex[:12]}"
    await _administer(server_url, f"CREATE DATABASE {name}")
    try:
        url = urlsplit(server_url)._replace(path=f"/{name}").geturl()
        if migrated:
            await migrate(url)
        yield url
    finally:
        await _administer(server_url, f"DROP DATABASE {name} WITH (FORCE)")


async def _administer(server_url: str, statement: str) -> None:
    database = await asyncpg.connect(server_url)
    try:
        await database.execute(statement)
    finally:
        await database.close()
