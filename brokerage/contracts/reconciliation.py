"""What the reconciliation's workflow and its activities tell each other."""

from dataclasses import dataclass, field
from typing import Final, Literal

from brokerage.domain.reconciliation import Difference

SCHEDULE: Final = "schedule"
"""Who started a run that no operator did."""

State = Literal["healed", "needs-a-person"]
Verdict = Literal["clean", "healed", "needs-a-person"]


@dataclass(frozen=True, slots=True)
class Begin:
    """Begin a run; `started_by` is an operator, or `SCHEDULE`."""

    run_id: str
    started_by: str
    reason: str


@dataclass(frozen=True, slots=True)
class Look:
    """How far a walk over all orders came; `sequence` is the statement's."""

    sequence: int
    ours_after: str = ""
    theirs_after: str = ""
    done: bool = False


@dataclass(frozen=True, slots=True)
class Looked:
    """One step of the walk: what it saw, and from where the next one goes on."""

    next: Look
    differences: list[Difference]
    orders: int
    reports: int


@dataclass(frozen=True, slots=True)
class Found:
    """A difference that was seen twice; `note` says what was done about it."""

    difference: Difference
    state: State
    note: str = ""


@dataclass(frozen=True, slots=True)
class Counts:
    """What a run has seen and done so far."""

    orders: int = 0
    reports: int = 0
    healed: int = 0
    waiting: int = 0


@dataclass(frozen=True, slots=True)
class Conclusion:
    """The end of a run."""

    run_id: str
    sequence: int
    counts: Counts
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Progress:
    """What a run hands to the one that continues it."""

    run_id: str
    look: Look
    counts: Counts = Counts()
    suspects: list[Difference] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class StartReconciliation:
    """Compare everything with the exchange; `progress` where an earlier run got to."""

    started_by: str = SCHEDULE
    reason: str = ""
    progress: Progress | None = None
