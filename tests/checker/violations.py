"""What a checker finds."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Violation:
    """An invariant (`S1` to `S16`, `L1` to `L3`; docs/invariants.md) that does not hold.

    `where` is the order, user, execution or stream it was found at, `evidence` the facts that
    contradict each other.
    """

    invariant: str
    where: str
    evidence: str

    def __str__(self) -> str:
        return f"{self.invariant} at {self.where}: {self.evidence}"
