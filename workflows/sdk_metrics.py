"""What Temporal's SDK counts: calls to the server, activities, workflow tasks, slots, the cache.

The SDK counts in its own threads and shows it on a port of its own.
That port is a free one on the loopback interface, and `/metrics` of the process hands it on: there
is one place to scrape, and no second port to configure.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import replace
from http.client import HTTPConnection
from typing import Final

from temporalio.runtime import (
    LoggingConfig,
    LoggingFormat,
    PrometheusConfig,
    Runtime,
    TelemetryConfig,
)

LOOPBACK: Final = "127.0.0.1"
READ_SECONDS: Final = 2.0
ATTEMPTS: Final = 10
SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)
"""The SDK's own buckets begin at 50 ms, which is longer than an order takes."""
TIMED: Final = (
    "activity_execution_latency",
    "activity_schedule_to_start_latency",
    "activity_succeed_endtoend_latency",
    "local_activity_execution_latency",
    "local_activity_succeed_endtoend_latency",
    "request_latency",
    "workflow_task_execution_latency",
    "workflow_task_replay_latency",
    "workflow_task_schedule_to_start_latency",
)


def count_sdk() -> Callable[[], Awaitable[bytes]]:
    """Have every Temporal client of this process counted from now on; what reads the counts, in
    Prometheus' text format, is returned, and raises OSError.

    Called once, before the first client is made. Raises ValueError when no port can be had.
    """
    runtime, port = _runtime()
    Runtime.set_default(runtime)

    async def scraped() -> bytes:
        return await asyncio.to_thread(_read, port)

    return scraped


def _runtime() -> tuple[Runtime, int]:
    attempt = 1
    while True:
        port = _free_port()
        try:
            return Runtime(telemetry=_telemetry(port)), port
        except ValueError:
            # Somebody else took the port meanwhile.
            if attempt == ATTEMPTS:
                raise
        attempt += 1


def _telemetry(port: int) -> TelemetryConfig:
    metrics = PrometheusConfig(
        f"{LOOPBACK}:{port}",
        counters_total_suffix=True,
        unit_suffix=True,
        durations_as_seconds=True,
        histogram_bucket_overrides=dict.fromkeys(TIMED, SECONDS),
    )
    # Its threads write by themselves: lines of ours have no colours either.
    logs = replace(LoggingConfig.default, format=LoggingFormat.JSON)
    return TelemetryConfig(logging=logs, metrics=metrics, attach_service_name=False)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def _read(port: int) -> bytes:
    with closing(HTTPConnection(LOOPBACK, port, timeout=READ_SECONDS)) as connection:
        connection.request("GET", "/metrics")
        return connection.getresponse().read()
