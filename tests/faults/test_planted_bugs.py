"""The checker finds bugs that are planted in the real processes, and calls them by their names; the
same scenes without them raise nothing.

With `--every-crash-point` (`make test-faults`) every bug, and a table of them; else a sample.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.planted_bugs import BUGS, SAMPLE, symbols_of
from tests.faults.planted_stage import Verdict, play
from tests.faults.planted_table import PROPERTY
from tests.faults.planting import Bug


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every bug, or a sample."""
    metafunc.parametrize("bug", asked_for(metafunc.config), ids=str)


def asked_for(config: pytest.Config) -> list[Bug]:
    # Known only to a run that begins in this folder.
    every = config.getoption("--every-crash-point", default=False)
    return [bug for bug in BUGS if every or bug.plant in SAMPLE]


@pytest.fixture(scope="module")
async def verdicts(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[Bug, Verdict]:
    """All scenes, played in one stack with all the bugs that are asked for."""
    bugs = asked_for(request.config)
    notes = tmp_path_factory.mktemp("notes")
    found = await play(bugs, notes)
    # The planted order may go down with the process that is struck for its sound neighbour: that it
    # was struck shows in what is broken.
    assert struck_in(notes) >= {symbols_of(bug)[1] for bug in bugs if bug.fault}
    return found


def struck_in(notes: Path) -> set[str]:
    return {path.name for path in notes.iterdir()}


async def test_a_bug_is_found_and_called_by_its_name(
    bug: Bug, verdicts: dict[Bug, Verdict], record_property: Callable[[str, object], None]
) -> None:
    verdict = verdicts[bug]
    record_property(PROPERTY, f"{bug}: {', '.join(sorted(verdict.named))}")

    assert verdict.named == set(bug.breaks.split()), [str(one) for one in verdict.planted]
    assert verdict.sound == []
