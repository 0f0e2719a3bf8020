"""What came of a soak, as it is kept in a file, and the figures that are drawn from it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from devstack.services import kind_of
from tests.checker.violations import Violation
from tests.soak.recovery import Measured
from tests.soak.schedule import Fault

Measure = Literal["back", "writes", "resolved", "caught_up"]
MEASURES: Final[tuple[Measure, ...]] = ("back", "writes", "resolved", "caught_up")


@dataclass(frozen=True, slots=True)
class Seen:
    """Whether a fault acted, by what was seen; since when (wall clock) things could recover."""

    acted: bool
    evidence: str
    since: float


@dataclass(frozen=True, slots=True)
class Blow:
    """A fault as it was carried out; `at` in seconds from the start of the run.

    `recovered` is measured of those that struck alone while all was well.
    """

    episode: int
    at: float
    fault: Fault
    seen: Seen
    recovered: Measured | None

    @property
    def label(self) -> str:
        """What sort of fault it was: of a process by its kind, of the rest by what was done."""
        if self.fault.kind in ("kill", "freeze"):
            return f"{self.fault.kind} {kind_of(self.fault.target)}"
        return self.fault.kind


@dataclass(frozen=True)
class Soaked:
    """One run. `orders` by status, `calls` by what was asked and how it ended.

    `late_arrivals` are placements that reached the exchange past their send-by; it refuses those
    that are new, and one that it took is a violation.
    """

    seed: int
    load_seconds: float
    settling_seconds: float
    orders: Mapping[str, int]
    executions: int
    calls: Mapping[str, int]
    blows: Sequence[Blow]
    violations: Sequence[Violation]
    violations_after_restart: Sequence[Violation]
    late_arrivals: int

    @property
    def never_acted(self) -> list[str]:
        """Kinds of faults of which none was seen to act: the run proves nothing about them."""
        acted = {blow.fault.kind for blow in self.blows if blow.seen.acted}
        return sorted({blow.fault.kind for blow in self.blows} - acted)

    @property
    def is_good(self) -> bool:
        """True if nothing is wrong, and everything that was to go wrong did."""
        return not (self.violations or self.violations_after_restart or self.never_acted)


def times(blows: Iterable[Blow], measure: Measure) -> list[float | None]:
    """What was measured, ascending; those that took too long last."""
    found = [getattr(blow.recovered, measure) for blow in blows if blow.recovered is not None]
    return sorted(found, key=lambda seconds: (seconds is None, seconds or 0.0))
