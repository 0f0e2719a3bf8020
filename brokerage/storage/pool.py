"""The pool of Postgres connections, and what may be waited for on it."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import asyncpg
import structlog
from asyncpg.pool import PoolConnectionProxy

from brokerage.runtime.backoff import Backoff
from brokerage.runtime.settings import Settings
from brokerage.storage.metrics import ACQUIRE_SECONDS, UNAVAILABLE, measured

log = structlog.get_logger()

ACQUIRE_TIMEOUT_SECONDS: Final = 0.5
STATEMENT_TIMEOUT_SECONDS: Final = 2.0
LOCK_TIMEOUT_SECONDS: Final = 0.5
CONNECT_TIMEOUT_SECONDS: Final = 5.0
CONNECT: Final = Backoff(0.1, 3.0)
APPLICATION: Final = "sherwood"
"""How Postgres lists the connections of our processes."""

Pool = asyncpg.Pool
Connection = PoolConnectionProxy


class DatabaseUnavailable(Exception):
    """Postgres did not answer, or not in time. After a write: whether it happened is unknown."""


@asynccontextmanager
async def open_pool(settings: Settings) -> AsyncIterator["Pool[asyncpg.Record]"]:
    """Connect, waiting for the server if it is not there yet; close on the way out."""
    pool = await _connected(settings)
    try:
        with measured(pool):
            yield pool
    finally:
        try:
            await asyncio.wait_for(pool.close(), timeout=3)
        except TimeoutError:
            pool.terminate()


async def _connected(settings: Settings) -> "Pool[asyncpg.Record]":
    failures = 0
    while True:
        try:
            return await _create_pool(settings)
        except (
            OSError,
            TimeoutError,
            asyncpg.CannotConnectNowError,
            asyncpg.PostgresConnectionError,
        ) as error:
            log.warning("database_not_there", error=repr(error))
        failures += 1
        await asyncio.sleep(CONNECT.pause_seconds(failures))


async def _keep(connection: object) -> None:
    """Hand the connection back as it is."""


async def _create_pool(settings: Settings) -> "Pool[asyncpg.Record]":
    return await asyncpg.create_pool(
        settings.database_url,
        min_size=2,
        max_size=settings.database_pool_size,
        command_timeout=STATEMENT_TIMEOUT_SECONDS,
        timeout=CONNECT_TIMEOUT_SECONDS,
        # Nothing here changes a session's state, so there is nothing to undo on release.
        reset=_keep,
        server_settings={
            "application_name": APPLICATION,
            "statement_timeout": f"{int(STATEMENT_TIMEOUT_SECONDS * 1000)}",
            "lock_timeout": f"{int(LOCK_TIMEOUT_SECONDS * 1000)}",
            "idle_in_transaction_session_timeout": "5000",
            "timezone": "UTC",
            # The plans of the few statements here never depend on the parameters' values.
            "plan_cache_mode": "force_generic_plan",
            "jit": "off",
        },
    )


@asynccontextmanager
async def connection(
    pool: "Pool[asyncpg.Record]", deadline_seconds: float = STATEMENT_TIMEOUT_SECONDS
) -> AsyncIterator["Connection[asyncpg.Record]"]:
    """A connection for at most `deadline_seconds`, the wait for it included.

    Raises `DatabaseUnavailable` for every way in which Postgres can be away: the driver's own
    timeouts do not hold when the server is frozen, so an outer deadline does.
    """
    try:
        async with asyncio.timeout(deadline_seconds):
            began = time.perf_counter()
            async with pool.acquire(timeout=ACQUIRE_TIMEOUT_SECONDS) as acquired:
                ACQUIRE_SECONDS.observe(time.perf_counter() - began)
                yield acquired
    except (
        TimeoutError,
        OSError,
        asyncpg.InterfaceError,
        asyncpg.InternalClientError,
        asyncpg.PostgresConnectionError,
        asyncpg.OperatorInterventionError,
        asyncpg.PostgresSystemError,
        asyncpg.InternalServerError,
        asyncpg.InvalidAuthorizationSpecificationError,
        asyncpg.InsufficientResourcesError,
        asyncpg.LockNotAvailableError,
        asyncpg.DeadlockDetectedError,
        asyncpg.SerializationError,
        asyncpg.IdleInTransactionSessionTimeoutError,
    ) as error:
        UNAVAILABLE.labels(type(error).__name__).inc()
        raise DatabaseUnavailable(repr(error)) from error


@asynccontextmanager
async def long_read(
    pool: "Pool[asyncpg.Record]", timeout_seconds: float, *, one_moment: bool = False
) -> AsyncIterator["Connection[asyncpg.Record]"]:
    """A connection that only reads and may take this long; `one_moment`: all of it sees the same.

    A query of it needs a `timeout` of its own where it may take longer than the pool's. Raises
    `DatabaseUnavailable`.
    """
    async with (
        connection(pool, timeout_seconds) as database,
        database.transaction(
            isolation="repeatable_read" if one_moment else "read_committed", readonly=True
        ),
    ):
        await database.execute(f"SET LOCAL statement_timeout = '{int(timeout_seconds)}s'")
        yield database
