"""Traces are off unless they are wanted, and cost nothing then."""

import subprocess
import sys

from brokerage.runtime import tracing

LOADED = """
import sys
import {modules}
parts = (name.split(".")[:2] for name in sys.modules)
print({{".".join(part) for part in parts if part[0] == "opentelemetry"}})
"""


def loaded(modules: str) -> set[str]:
    """The parts of OpenTelemetry that a process of these modules has loaded."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED.format(modules=modules)],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    found: set[str] = eval(done.stdout)
    return found


def test_a_worker_that_makes_no_traces_does_not_load_opentelemetry() -> None:
    names = "workers.orders, workers.gateway, workers.executions, workers.feed"

    assert loaded(names) == set()


def test_the_api_has_no_more_of_it_than_fastapi_loads_by_itself() -> None:
    assert loaded("api.__main__") & {"opentelemetry.sdk", "opentelemetry.exporter"} == set()


def test_off_nothing_is_made_and_nothing_goes_out() -> None:
    with tracing.continued(lambda: {"traceparent": "x"}), tracing.span("a", linked=[None]) as made:
        tracing.describe("b", c=1)

    assert made is None
    assert tracing.outgoing() is None
    assert tracing.under_way() is None
    assert tracing.trace_id() is None


def test_traces_without_the_extra_end_the_start_with_what_to_do() -> None:
    program = """
import sys
sys.modules["opentelemetry.sdk"] = None
from brokerage.runtime.process import observe
from brokerage.runtime.settings import Settings
observe(Settings(tracing_endpoint="http://127.0.0.1:4318"), "test")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 1
    assert done.stderr.strip() == "tracing needs the extra: pip install '.[tracing]'"
