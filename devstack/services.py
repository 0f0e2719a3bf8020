"""Our own processes: what each is started with, what it needs first, where it answers."""

import sys
from collections.abc import Mapping, Sequence
from typing import Final

from devstack import probes
from devstack.home import Home
from devstack.ports import HOST
from devstack.process import Prepare, ProcessSpec, Report, fixed
from devstack.settings import CHECKOUT

SERVERS: Final = ("postgres", "nats", "temporal")

NEEDS: Final[Mapping[str, frozenset[str]]] = {
    "migrations": frozenset({"postgres"}),
    "exchange": frozenset(),
    "gateway": frozenset({"nats", "exchange"}),
    "feed": frozenset({"nats", "exchange", "migrations"}),
    "executions": frozenset({"nats", "temporal", "migrations"}),
    "orders": frozenset({"nats", "temporal", "migrations", "gateway"}),
    "api": frozenset({"nats", "temporal", "migrations"}),
}
"""What must have been ready once before the process is started; stopping goes the other way."""

ONE_THREAD: Final = {"TOKIO_WORKER_THREADS": "1"}
"""Temporal's SDK brings a thread a core for its network side; a process that has one core to itself
only waits for them: a tenth of a worker's processor time, a fifth of an order's latency."""

MODULES: Final[Mapping[str, str]] = {
    "migrations": "brokerage.storage.migrate",
    "exchange": "exchange",
    "gateway": "workers.gateway",
    "feed": "workers.feed",
    "executions": "workers.executions",
    "orders": "workers.orders",
    "api": "api",
}


NUMBERED: Final = ("orders", "feed", "api")
"""Kinds of which there may be several, called `<kind>-1` and on; the first API node is `api`."""
SHARED: Final = ("feed",)
"""Kinds of which one copy has the work and the others stand by; each tells its role."""
FEEDS: Final = 2


def kind_of(name: str) -> str:
    """Return what sort of process `name` is, without its number."""
    kind, _, number = name.rpartition("-")
    return kind if kind in NUMBERED and number.isdigit() else name


def all_names(workers: int, apis: int = 1) -> tuple[str, ...]:
    """Return the names of every process in the order of a reader's interest."""
    nodes = ("api", *(f"api-{number}" for number in range(2, apis + 1)))
    orders = tuple(f"orders-{number}" for number in range(1, workers + 1))
    feeds = tuple(f"feed-{number}" for number in range(1, FEEDS + 1))
    return (*SERVERS, "migrations", "exchange", "gateway", *feeds, "executions", *orders, *nodes)


def application_spec(
    name: str,
    home: Home,
    ports: Mapping[str, int],
    environment: Mapping[str, str],
    among: Sequence[str],
) -> ProcessSpec:
    """Return how to run one of our own processes in a stack of the processes `among`."""
    kind = kind_of(name)
    command = (sys.executable, "-m", MODULES[kind])
    port = ports.get(name)
    own = {"PYTHONUNBUFFERED": "1", **ONE_THREAD}
    if kind not in ("migrations", "exchange", "api"):
        own |= {"SHERWOOD_HEALTH_PORT": str(port), "SHERWOOD_HEALTH_HOST": HOST}
    if kind == "api":
        own["SHERWOOD_API_PORT"] = str(port)
    return ProcessSpec(
        name=name,
        prepare=_exchange_command(home, command) if kind == "exchange" else fixed(*command),
        environment={**environment, **own},
        folder=CHECKOUT,
        probe=None if port is None else probes.health(f"http://{HOST}:{port}"),
        address="" if port is None else f"http://{HOST}:{port}",
        needs=NEEDS[kind] & frozenset(among),
        once=kind == "migrations",
    )


def _exchange_command(home: Home, command: tuple[str, ...]) -> Prepare:
    async def prepare(report: Report) -> tuple[str, ...]:
        (home.root / "exchange").mkdir(exist_ok=True)
        return command

    return prepare
