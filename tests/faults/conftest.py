"""The stack that can be crashed at every point, and the table of what came of it."""

import json
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Final

import pytest

from tests.faults.crash_cases import Case, Crashable, crashable_stack
from tests.faults.crash_catalogue import POINTS
from tests.faults.crash_points import ACTIONS, Action, Point
from tests.faults.planted_table import named_bugs

EVERY: Final = "--every-crash-point"
MATRIX: Final = "crash_matrix"
SAMPLE: Final = "test_crash_sample.py"
PROPERTY: Final = "crash"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(EVERY, action="store_true", help="every crash point, and not only a sample")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"{MATRIX}: one case of the crash matrix")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the sample or the whole: what is in the one is in the other."""
    every = config.getoption(EVERY, default=False)

    def kept(item: pytest.Item) -> bool:
        return item.path.name != SAMPLE if every else item.get_closest_marker(MATRIX) is None

    left_out = [item for item in items if not kept(item)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if kept(item)]


@pytest.fixture(scope="session")
async def crashable() -> AsyncIterator[Crashable]:
    """Everything, ready to be crashed."""
    async with crashable_stack() as crashable:
        yield crashable


@pytest.fixture
def case(request: pytest.FixtureRequest) -> Iterator[Callable[[Point, Action], Case]]:
    """Make the cases of which the table at the end shall tell."""
    cases: list[Case] = []

    def case(point: Point, action: Action) -> Case:
        cases.append(Case(point.name, action))
        return cases[-1]

    yield case
    request.node.user_properties += [(PROPERTY, json.dumps(asdict(one))) for one in cases]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the tables: of cases, if any were lived, and of planted bugs."""
    for line in named_bugs(terminalreporter):
        terminalreporter.write_line(line)
    cases = [
        Case(**json.loads(told))
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", None) == "teardown"
        for name, told in report.user_properties
        if name == PROPERTY
    ]
    if cases:
        terminalreporter.section("crash points: seconds from the fault to the order's end")
        for line in table(cases):
            terminalreporter.write_line(line)


def table(cases: list[Case]) -> Iterator[str]:
    """What came of each case, a line a point."""
    by_point: dict[str, dict[Action, Case]] = defaultdict(dict)
    for case in cases:
        by_point[case.point][case.action] = case
    yield _line("point", "process", ACTIONS, "on record then")
    for point in POINTS:
        if found := by_point.get(point.name):
            told = [_told(found.get(action)) for action in ACTIONS]
            yield _line(point.name, point.process, told, point.durable)
    fired = sum(case.fired for case in cases)
    violations = sum(len(case.violations) for case in cases)
    held = sum(case.held for case in cases)
    yield (
        f"{len(by_point)} points, {len(cases)} cases: {fired} fired, {held} held, "
        f"{violations} violations"
    )


def _line(point: str, process: str, columns: Sequence[str], durable: str) -> str:
    told = "".join(f"{column:>8}" for column in columns)
    return f"{point:<25}{process:<11}{told}  {durable}"


def _told(case: Case | None) -> str:
    if case is None:
        return "-"
    if not case.fired:
        return "unfired"
    return f"{case.resolved_seconds:.1f}" if case.held else "BROKEN"
