"""What a process counts of its connections to Postgres."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import asyncpg
from prometheus_client import Counter, Gauge, Histogram

CONNECTIONS: Final = Gauge(
    "sherwood_database_connections",
    "Connections to Postgres: in-use, or idle in the pool.",
    ("state",),
)
CONNECTIONS_MAX: Final = Gauge(
    "sherwood_database_connections_max", "Connections that this process may have."
)
ACQUIRE_SECONDS: Final = Histogram(
    "sherwood_database_acquire_seconds",
    "How long a transaction waited for a connection of the pool.",
    buckets=(0.0001, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
)
UNAVAILABLE: Final = Counter(
    "sherwood_database_unavailable",
    "Times Postgres did not answer, or not in time, by the error that said so.",
    ("error",),
)

_pools: "set[asyncpg.Pool[Any]]" = set()

# Asked when somebody looks: an order pays nothing for them.
CONNECTIONS.labels("idle").set_function(lambda: sum(pool.get_idle_size() for pool in _pools))
CONNECTIONS.labels("in-use").set_function(
    lambda: sum(pool.get_size() - pool.get_idle_size() for pool in _pools)
)
CONNECTIONS_MAX.set_function(lambda: sum(pool.get_max_size() for pool in _pools))


@contextmanager
def measured(pool: "asyncpg.Pool[Any]") -> Iterator[None]:
    """Count the pool's connections among those of this process."""
    _pools.add(pool)
    try:
        yield
    finally:
        _pools.discard(pool)
