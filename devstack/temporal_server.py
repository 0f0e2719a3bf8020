"""Temporal's development server with the settings that make it answer in milliseconds."""

import json
from typing import Final

from devstack import probes
from devstack.home import Home
from devstack.ports import HOST
from devstack.process import ProcessSpec, Report
from devstack.settings import StackSettings, bare_environment
from devstack.temporal_binary import find_temporal

SEARCH_ATTRIBUTES: Final = ("UserId", "Symbol", "Side", "OrderType", "OrderStatus")

# By default history loads each of its queues 20 times a second (one load every 50 ms), and four
# partitions of a task queue forward to each other: together they hold one client to 22 orders a
# second. Only the transfer queue stands between an order and its worker; the others keep their
# pace, because a load for every task costs an eighth of the server's processor time
# (docs/decisions/0007-temporal-settings.md). The other limits are sized for many tenants and would
# be hit by one busy machine; and a backlog that is told once a minute is told too late.
DYNAMIC_CONFIG: Final = {
    "history.transferProcessorMaxPollRPS": 1_000,
    "matching.numTaskqueueReadPartitions": 1,
    "matching.numTaskqueueWritePartitions": 1,
    "matching.backlogMetricsEmitInterval": "10s",
    "frontend.rps": 100_000,
    "frontend.namespaceRPS": 100_000,
    "frontend.namespaceCount": 100_000,
    "history.rps": 100_000,
    "matching.rps": 100_000,
}
SQLITE_PRAGMAS: Final = ("journal_mode=wal", "synchronous=normal")
GO_RUNTIME: Final = {"GOGC": "400"}
"""The heap may grow to five times what is live before it is collected."""


def temporal_spec(settings: StackSettings, home: Home, port: int, ui_port: int) -> ProcessSpec:
    """Return how to run Temporal for this home."""
    folder = home.root / "temporal"
    namespace = settings.temporal_namespace

    async def prepare(report: Report) -> tuple[str, ...]:
        binary = await find_temporal(settings, report)
        folder.mkdir(exist_ok=True)
        database = str(folder / "temporal.db")
        return (str(binary), *_arguments(database, namespace, port, ui_port))

    return ProcessSpec(
        name="temporal",
        prepare=prepare,
        environment={**bare_environment(settings, folder), **GO_RUNTIME},
        folder=home.root,
        # Through the UI, so that both are known to work.
        probe=probes.http(f"http://{HOST}:{ui_port}/api/v1/namespaces/{namespace}"),
        address=f"{HOST}:{port}",
    )


def _arguments(database: str, namespace: str, port: int, ui_port: int) -> list[str]:
    arguments = ["server", "start-dev", "--ip", HOST, "--port", str(port)]
    arguments += ["--ui-port", str(ui_port), "--ui-disable-news-fetch"]
    arguments += ["--namespace", namespace, "--db-filename", database, "--log-level", "warn"]
    for pragma in SQLITE_PRAGMAS:
        arguments += ["--sqlite-pragma", pragma]
    for key, value in DYNAMIC_CONFIG.items():
        arguments += ["--dynamic-config-value", f"{key}={json.dumps(value)}"]
    for name in SEARCH_ATTRIBUTES:
        arguments += ["--search-attribute", f"{name}=Keyword"]
    return arguments
