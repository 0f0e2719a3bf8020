"""What every process exports at `/metrics`, beside what its own modules count."""

import platform
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Final

import structlog
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    Gauge,
    disable_created_metrics,
    generate_latest,
)

log = structlog.get_logger()

# Else every counter and histogram has a second series that says since when it counts.
disable_created_metrics()  # type: ignore[no-untyped-call]

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
BUILD: Final = Gauge(
    "sherwood_build_info",
    "1, with the process and the version it runs.",
    ("process", "version", "release", "python"),
)
READY: Final = Gauge("sherwood_ready", "1 while the process answers /readyz with 200.")

Source = Callable[[], Awaitable[bytes]]

_sources: list[Source] = []


def describe_process(process: str, release: str | None, is_ready: Callable[[], bool]) -> None:
    """Export what runs here, of which release of the order workers, and whether it is ready."""
    BUILD.labels(process, version("sherwood"), release or "", platform.python_version()).set(1)
    READY.set_function(is_ready)


def export_too(source: Source) -> None:
    """Add what `source` returns, in Prometheus' text format, whenever this process is asked."""
    _sources.append(source)


async def exposition() -> bytes:
    """All metrics of this process in Prometheus' text format."""
    parts = [generate_latest()]
    for source in _sources:
        try:
            parts.append(await source())
        except OSError as error:
            log.warning("metrics_incomplete", error=repr(error))
    return b"".join(parts)
