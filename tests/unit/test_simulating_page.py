"""The page of what can be simulated says what the table says."""

from pathlib import Path
from typing import Final

from brokerage.contracts.simulations import SIMULATIONS
from brokerage.domain.states import Event

PAGE: Final = (Path(__file__).parents[2] / "docs" / "simulating.md").read_text()


def test_the_page_lists_every_simulation_as_the_table_has_it() -> None:
    rows = [
        f"| `{name}` | {one.happens} | {one.seen} | {one.path} |"
        for name, one in SIMULATIONS.items()
    ]

    assert [line for line in PAGE.splitlines() if line.startswith("| `") and ", " in line] == rows


def test_the_page_says_of_every_event_how_to_see_it() -> None:
    told = {line.split("`")[1] for line in PAGE.splitlines() if line.startswith("- `")}

    assert told == set(Event)
