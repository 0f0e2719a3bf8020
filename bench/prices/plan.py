"""What is measured: rows of viewers and rates, what is aimed at, how long each part takes."""

import random
import re
from dataclasses import dataclass
from itertools import product
from string import ascii_uppercase
from typing import Final

SYMBOLS: Final = 1_000
WATCHED: Final = 20
"""Symbols of one viewer."""
SEED: Final = 1

_ROW: Final = re.compile(r"([1-9]\d*)x([1-9]\d*)")


@dataclass(frozen=True, slots=True)
class Row:
    """`viewers` streams, to each of which `offered` updates a second are offered."""

    viewers: int
    offered: int

    @property
    def ticks_per_second(self) -> float:
        """What the publisher sends of all symbols together."""
        return self.offered / WATCHED * SYMBOLS

    @property
    def offered_per_second(self) -> int:
        """Updates a second that all viewers together would get if each got all of its own."""
        return self.viewers * self.offered

    def __str__(self) -> str:
        return f"{self.viewers:,} x {self.offered:,}"


FULL: Final = Row(5_000, 200)
LIGHT: Final = Row(1_000, 20)
MANY: Final = Row(5_000, 10)
ROWS: Final = (FULL, LIGHT, MANY)


@dataclass(frozen=True, slots=True)
class Lengths:
    """How long each part takes, how often it is repeated, and whether viewers come back."""

    warm_up_seconds: float
    window_seconds: float
    rounds: int
    come_back: bool


LONG: Final = Lengths(warm_up_seconds=3, window_seconds=10, rounds=3, come_back=True)
QUICK: Final = Lengths(warm_up_seconds=2, window_seconds=5, rounds=1, come_back=False)


def parse_row(text: str) -> Row:
    """Read `5000x200`. Raises ValueError."""
    found = _ROW.fullmatch(text)
    if found is None:
        raise ValueError(f"a row is VIEWERSxUPDATES, as 5000x200, not {text!r}")
    return Row(int(found[1]), int(found[2]))


def symbol_names() -> list[str]:
    """Return the names of the symbols: four letters each, as most have."""
    names = ("".join(letters) for letters in product(ascii_uppercase, repeat=4))
    return [name for name, _ in zip(names, range(SYMBOLS), strict=False)]


def watch_lists(names: list[str], viewers: int, seed: int = SEED) -> list[list[str]]:
    """Draw for each viewer what it watches; the same seed is the same lists."""
    chance = random.Random(seed)
    return [chance.sample(names, min(WATCHED, len(names))) for _ in range(viewers)]
