"""The stack that can be crashed at every point, and the table of what came of it."""

import json
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Final

import pytest

from tests.faults.crash_catalogue import POINTS
from tests.faults.crash_cells import Cell, Crashable, crashable_stack
from tests.faults.crash_points import ACTIONS, Action, Point
from tests.faults.planted_table import named_bugs

EVERY: Final = "--every-crash-point"
MATRIX: Final = "crash_matrix"
SAMPLE: Final = "test_crash_sample.py"
PROPERTY: Final = "crash"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(EVERY, action="store_true", help="every crash point, and not only a sample")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"{MATRIX}: one cell of the crash matrix")


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
def cell(request: pytest.FixtureRequest) -> Iterator[Callable[[Point, Action], Cell]]:
    """Make the cells of which the table at the end shall tell."""
    cells: list[Cell] = []

    def cell(point: Point, action: Action) -> Cell:
        cells.append(Cell(point.name, action))
        return cells[-1]

    yield cell
    request.node.user_properties += [(PROPERTY, json.dumps(asdict(one))) for one in cells]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the tables: of cells, if any were lived, and of planted bugs."""
    for line in named_bugs(terminalreporter):
        terminalreporter.write_line(line)
    cells = [
        Cell(**json.loads(told))
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", None) == "teardown"
        for name, told in report.user_properties
        if name == PROPERTY
    ]
    if cells:
        terminalreporter.section("crash points: seconds from the fault to the order's end")
        for line in table(cells):
            terminalreporter.write_line(line)


def table(cells: list[Cell]) -> Iterator[str]:
    """What came of each cell, a line a point."""
    by_point: dict[str, dict[Action, Cell]] = defaultdict(dict)
    for cell in cells:
        by_point[cell.point][cell.action] = cell
    yield _line("point", "process", ACTIONS, "on record then")
    for point in POINTS:
        if found := by_point.get(point.name):
            told = [_told(found.get(action)) for action in ACTIONS]
            yield _line(point.name, point.process, told, point.durable)
    fired = sum(cell.fired for cell in cells)
    violations = sum(len(cell.violations) for cell in cells)
    held = sum(cell.held for cell in cells)
    yield (
        f"{len(by_point)} points, {len(cells)} cells: {fired} fired, {held} held, "
        f"{violations} violations"
    )


def _line(point: str, process: str, columns: Sequence[str], durable: str) -> str:
    told = "".join(f"{column:>8}" for column in columns)
    return f"{point:<25}{process:<11}{told}  {durable}"


def _told(cell: Cell | None) -> str:
    if cell is None:
        return "-"
    if not cell.fired:
        return "unfired"
    return f"{cell.resolved_seconds:.1f}" if cell.held else "BROKEN"
