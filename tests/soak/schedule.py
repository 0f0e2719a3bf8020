"""What goes wrong, in which order and for how long: a pure function of the seed.

The schedule says what is done, not at which second: a run that waits for a part to come back goes
on with the next episode then. So two runs of one seed do the same things to two different moments.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeVar

from devstack.services import kind_of
from tests.soak import byhand

Card = TypeVar("Card")
Kind = Literal[
    "kill", "freeze", "cut", "hold", "lose", "slow", "truncate", "answers", "feed", "order"
]

WIRES: Final[dict[str, tuple[str, ...]]] = {
    "api": ("postgres", "nats", "temporal"),
    "orders": ("postgres", "nats", "temporal"),
    "executions": ("postgres", "nats", "temporal"),
    "gateway": ("nats", "exchange"),
    "feed": ("postgres", "nats", "exchange"),
}
"""By kind of process, the servers it connects to."""

WRONG_ANSWERS: Final = (
    "place/accept-then-drop",
    "cancel/accept-then-drop",
    "place/late-fill",
    "place/drop",
    "place/accept-then-hang",
    "place/partial",
    "cancel/refuse",
    "place/accept-then-error",
    "place/garbage",
    "place/error",
    "cancel/accept-then-error",
    "place/delay",
    "query/error",
    "place/delay-reply",
    "place/hide",
    "place/hang",
    "cancel/delay",
    "place/refuse",
    "query/drop",
)
"""What the exchange does to calls, by the route it does it on."""
DISTURBANCES: Final = ("duplicate", "reorder", "gap", "drop", "silence")
"""What it does to its feed."""

DEAL: Final[Sequence[Kind]] = (
    *("kill", "kill", "kill", "kill", "freeze", "freeze"),
    *("cut", "hold", "lose", "slow", "truncate"),
    *("answers", "answers", "feed", "order"),
)
"""Kinds are dealt from this, shuffled, so that each has its turn however short a run is."""
KILLED_OFTENER: Final = ("orders", "postgres", "nats")
"""Three times as often: those whose recovery has an aim."""
PAIRS_OF_THREE: Final = (False, True, False)
"""Whether a fault has company: one in three has, the others show how long recovery takes."""
QUIET_SECONDS: Final = (0.2, 1.5)
LONG_FREEZE_CHANCE: Final = 0.3
"""Longer than a workflow task and an attempt of an activity may take: another takes over."""
SECONDS: Final[dict[Kind, tuple[float, float]]] = {
    "kill": (0.0, 0.0),
    "freeze": (1.0, 4.0),
    "cut": (0.5, 4.0),
    "hold": (0.5, 6.0),
    "lose": (0.5, 5.0),
    "slow": (2.0, 6.0),
    "truncate": (3.0, 3.0),
    "answers": (2.0, 5.0),
    "feed": (2.0, 5.0),
    "order": (0.0, 0.0),
}
LONG_FREEZE_SECONDS: Final = (5.0, 15.0)
DELAY_SECONDS: Final = (0.02, 0.4)
ANSWER_BYTES: Final = (1, 3_000)
CHANCE: Final = (0.3, 0.9)


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong for `seconds`; on a wire, until it has met traffic.

    `target`: a process; a wire (`orders-1/nats`); or `<route>/<action>` of the exchange. `amount`
    is the delay of a slow wire in seconds, the bytes until a truncated one is cut, the chance that
    the exchange does it to a call or a message, where among the orders the one stands that it does
    it to (0 to 1), else 0.
    """

    kind: Kind
    target: str
    seconds: float
    amount: float = 0.0

    @property
    def touches(self) -> frozenset[str]:
        """The parts it concerns; two faults at once have none in common."""
        if self.kind in ("answers", "feed", "order"):
            return frozenset({"exchange"})
        return frozenset(self.target.split("/"))

    def __str__(self) -> str:
        return f"{self.kind} {self.target}"


@dataclass(frozen=True, slots=True)
class Episode:
    """`first`, after a quiet time; and `second`, if any, so many seconds after it began."""

    number: int
    quiet_seconds: float
    first: Fault
    second: Fault | None = None
    second_after_seconds: float = 0.0

    @property
    def faults(self) -> tuple[Fault, ...]:
        """One, or two."""
        return (self.first,) if self.second is None else (self.first, self.second)


def episodes(seed: int, processes: Sequence[str]) -> Iterator[Episode]:
    """Yield what happens to a stack of these processes, without end."""
    chance = random.Random(f"nemesis-{seed}")
    pairs = _dealt(chance, PAIRS_OF_THREE)
    draw = _faults(chance, processes)
    number = 0
    while True:
        number += 1
        quiet_seconds = _between(chance, QUIET_SECONDS)
        first = draw(frozenset())
        if not pairs():
            yield Episode(number, quiet_seconds, first)
            continue
        second = draw(first.touches)
        after_seconds = chance.uniform(0, max(first.seconds, 1.0))
        yield Episode(number, quiet_seconds, first, second, round(after_seconds, 2))


def wires_of(processes: Sequence[str]) -> list[str]:
    """Every connection between two of them, as `<process>/<server>`."""
    return [
        f"{name}/{server}"
        for name in processes
        for server in WIRES.get(kind_of(name), ())
        if server in processes
    ]


def _faults(chance: random.Random, processes: Sequence[str]) -> Callable[[frozenset[str]], Fault]:
    """Return what draws a fault that touches none of what it is given."""
    kinds = _dealt(chance, DEAL)
    wires = wires_of(processes)
    alive = [name for name in processes if name != "migrations"]
    oftener = [name for name in alive if kind_of(name) in KILLED_OFTENER]
    by_kind: dict[Kind, Callable[[], str]] = {
        "kill": _dealt(chance, [*alive, *oftener, *oftener]),
        "freeze": _dealt(chance, alive),
        "answers": _dealt(chance, WRONG_ANSWERS),
        "feed": _dealt(chance, [f"feed/{action}" for action in DISTURBANCES]),
        "order": _dealt(chance, [f"order/{action}" for action in byhand.ACTIONS]),
        **{kind: _dealt(chance, wires) for kind in ("cut", "hold", "lose", "slow", "truncate")},
    }

    def draw(taken: frozenset[str]) -> Fault:
        while True:
            kind = kinds()
            fault = Fault(kind, by_kind[kind](), _seconds(chance, kind), _amount(chance, kind))
            if not fault.touches & taken:
                return fault

    return draw


def _dealt(chance: random.Random, cards: Sequence[Card]) -> Callable[[], Card]:
    """Return what hands out each card once, in a drawn order, then all of them again."""
    left: list[Card] = []

    def deal() -> Card:
        if not left:
            left.extend(cards)
            chance.shuffle(left)
        return left.pop()

    return deal


def _seconds(chance: random.Random, kind: Kind) -> float:
    if kind == "freeze" and chance.random() < LONG_FREEZE_CHANCE:
        return _between(chance, LONG_FREEZE_SECONDS)
    return _between(chance, SECONDS[kind])


def _amount(chance: random.Random, kind: Kind) -> float:
    match kind:
        case "slow":
            return _between(chance, DELAY_SECONDS)
        case "truncate":
            return chance.randint(*ANSWER_BYTES)
        case "answers" | "feed":
            return _between(chance, CHANCE)
        case "order":
            return _between(chance, (0.0, 1.0))
    return 0.0


def _between(chance: random.Random, bounds: tuple[float, float]) -> float:
    return round(chance.uniform(*bounds), 2)
