"""The pool of Postgres connections, and what may be waited for on it."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

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
IDLE_TIMEOUT_SECONDS: Final = 5.0
CONNECT_TIMEOUT_SECONDS: Final = 5.0
CONNECT: Final = Backoff(0.1, 3.0)
APPLICATION: Final = "sherwood"
"""How Postgres lists the connections of our processes."""

Pool = asyncpg.Pool
Connection = PoolConnectionProxy


@dataclass(frozen=True, slots=True)
class Limits:
    """For how many seconds a connection, a statement, and a lock that somebody else has are waited
    for, and a transaction may do nothing.
    """

    acquire: float = ACQUIRE_TIMEOUT_SECONDS
    statement: float = STATEMENT_TIMEOUT_SECONDS
    lock: float = LOCK_TIMEOUT_SECONDS
    idle: float = IDLE_TIMEOUT_SECONDS


USUAL: Final = Limits()
_limits: Final["dict[Pool[Any], Limits]"] = {}
"""Of each open pool."""


class DatabaseUnavailable(Exception):
    """Postgres did not answer, or not in time. After a write: whether it happened is unknown."""


@asynccontextmanager
async def open_pool(
    settings: Settings, limits: Limits = USUAL
) -> AsyncIterator["Pool[asyncpg.Record]"]:
    """Connect, waiting for the server if it is not there yet; close on the way out."""
    pool = await _connected(settings, limits)
    _limits[pool] = limits
    try:
        with measured(pool):
            yield pool
    finally:
        del _limits[pool]
        try:
            await asyncio.wait_for(pool.close(), timeout=3)
        except TimeoutError:
            pool.terminate()


async def _connected(settings: Settings, limits: Limits) -> "Pool[asyncpg.Record]":
    failures = 0
    while True:
        try:
            return await _create_pool(settings, limits)
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


async def _create_pool(settings: Settings, limits: Limits) -> "Pool[asyncpg.Record]":
    return await asyncpg.create_pool(
        settings.database_url,
        min_size=2,
        max_size=settings.database_pool_size,
        command_timeout=limits.statement,
        timeout=CONNECT_TIMEOUT_SECONDS,
        # Nothing here changes a session's state, so there is nothing to undo on release.
        reset=_keep,
        server_settings={
            "application_name": APPLICATION,
            "statement_timeout": f"{int(limits.statement * 1000)}",
            "lock_timeout": f"{int(limits.lock * 1000)}",
            "idle_in_transaction_session_timeout": f"{int(limits.idle * 1000)}",
            "timezone": "UTC",
            # The plans of the few statements here never depend on the parameters' values.
            "plan_cache_mode": "force_generic_plan",
            "jit": "off",
        },
    )


@asynccontextmanager
async def connection(
    pool: "Pool[asyncpg.Record]", deadline_seconds: float | None = None
) -> AsyncIterator["Connection[asyncpg.Record]"]:
    """A connection for at most `deadline_seconds`, the wait for it included; unless they are given,
    for as long as a statement may take.

    Raises `DatabaseUnavailable` for every way in which Postgres can be away: the driver's own
    timeouts do not hold when the server is frozen, so an outer deadline does.
    """
    limits = _limits.get(pool, USUAL)
    try:
        async with asyncio.timeout(
            limits.statement if deadline_seconds is None else deadline_seconds
        ):
            began = time.perf_counter()
            async with pool.acquire(timeout=limits.acquire) as acquired:
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
