"""The table of planted bugs: what the checker named for each."""

from collections.abc import Iterator
from typing import Final

import pytest

PROPERTY: Final = "planted bug"
"""The property of a test under which it says what became of its bug."""


def named_bugs(terminalreporter: pytest.TerminalReporter) -> Iterator[str]:
    """A line a bug, if any were planted."""
    told = [
        value
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", None) == "teardown"
        for name, value in report.user_properties
        if name == PROPERTY
    ]
    if told:
        yield "planted bugs, and the invariants that the checker named:"
        yield from (f"  {line}" for line in told)
