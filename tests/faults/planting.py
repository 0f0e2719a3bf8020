"""How a bug gets into a real process, and strikes the orders of one symbol only."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from tests.faults.planted_scenes import Play
from workflows.details import STEPS


@dataclass(frozen=True, slots=True)
class Where:
    """The symbols that are struck, and a folder in which faults note that they struck."""

    symbols: frozenset[str]
    notes: Path

    def has(self, symbol: str | None) -> bool:
        """True for an order of one of the symbols."""
        return symbol in self.symbols

    def has_user(self, user_id: str) -> bool:
        """True for who trades one of the symbols: for calls that name the user only."""
        return user_id.split("-")[1] in self.symbols

    def first(self, symbol: str | None) -> bool:
        """True once for each of the symbols, also over a restart of the process."""
        if symbol is None or symbol not in self.symbols:
            return False
        try:
            (self.notes / symbol).touch(exist_ok=False)
        except FileExistsError:
            return False
        return True


Plant = Callable[[Where], None]


@dataclass(frozen=True, slots=True)
class Bug:
    """What `plant` makes of processes of this kind, and which invariants it then breaks (`S1 S2`).

    `scene` is what clients and the exchange do. `fault` is what goes wrong in the same process for
    sound orders too, so that the bug bites.
    """

    kind: str
    plant: Plant
    scene: Play
    breaks: str
    fault: Plant | None = None

    def __str__(self) -> str:
        return self.plant.__name__.replace("_", " ")


def patch(owner: object, name: str, make: Callable[[Any], Any]) -> None:
    """Replace what is called `name` there by what `make` makes of it.

    Raises AttributeError where it is gone: the process then ends before it begins.
    """
    original = getattr(owner, name)
    changed = make(original)
    if callable(original):
        changed = functools.wraps(original)(changed)
    setattr(owner, name, changed)
    if callable(original) and original in STEPS:
        # A workflow says what an activity is for by the function that it is.
        cast(dict[Any, str], STEPS)[changed] = STEPS[original]
