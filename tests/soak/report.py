"""What is shown of soaks: on the terminal, and in Markdown for the README."""

from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

from rich.console import Console
from rich.markup import escape

from bench.figures import percentile
from bench.tables import Grid
from tests.soak.recovery import GIVE_UP_SECONDS
from tests.soak.result import MEASURES, Blow, Measure, Soaked, times

VIOLATIONS_SHOWN: Final = 20


class Aim(NamedTuple):
    """What recovers after which fault, and within how many seconds it should."""

    label: str
    measure: Measure
    text: str
    seconds: float


AIMS: Final = (
    Aim("kill orders", "resolved", "worker killed: every order that waited has its answer", 12.0),
    Aim("kill postgres", "writes", "Postgres killed: an order is taken again", 2.0),
    Aim("kill nats", "caught_up", "NATS killed: all that the exchange told is booked", 5.0),
)


def show(console: Console, soaked: Soaked) -> None:
    """Print what happened, how long recovery took, and everything that is wrong."""
    console.print(_recovery([soaked]).rich())
    console.print(reliability([soaked]).rich())
    calls = ", ".join(f"{name} {count:,}" for name, count in sorted(soaked.calls.items()))
    console.print(f"calls: {calls}")
    for blow in soaked.blows:
        if not blow.seen.acted:
            console.print(f"[yellow]did not act[/]: {blow.fault}: {escape(blow.seen.evidence)}")
    for kind in soaked.never_acted:
        console.print(f"[red]no fault of this kind acted[/]: {kind}")
    for when, violations in (
        ("", soaked.violations),
        (" after the restart", soaked.violations_after_restart),
    ):
        for violation in violations[:VIOLATIONS_SHOWN]:
            console.print(f"[red]violated{when}[/]: {escape(str(violation))}")
        hidden = len(violations) - VIOLATIONS_SHOWN
        if hidden > 0:
            console.print(f"[red]and {hidden} more[/]")
    if soaked.is_good:
        console.print("[green]nothing lost, nothing doubled, everything explained[/]")


def _recovery(runs: Sequence[Soaked]) -> Grid:
    """By sort of fault: how many there were and acted, and how long things took afterwards."""
    blows = [blow for run in runs for blow in run.blows]
    labels = sorted({blow.label for blow in blows})
    headings = ["fault", "dealt", "acted", "measured"]
    headings += [f"{measure.replace('_', ' ')}, p50 / max s" for measure in MEASURES]
    return Grid(
        "After each fault that struck alone",
        headings,
        [_row(label, [blow for blow in blows if blow.label == label]) for label in labels],
    )


def _row(label: str, blows: Sequence[Blow]) -> list[str]:
    acted = sum(blow.seen.acted for blow in blows)
    measured = sum(blow.recovered is not None for blow in blows)
    cells = [_figures(times(blows, measure)) for measure in MEASURES]
    return [label, str(len(blows)), str(acted), str(measured), *cells]


def reliability(runs: Sequence[Soaked]) -> Grid:
    """The table of the README, of one run or of several together."""
    blows = [blow for run in runs for blow in run.blows]
    acted = Counter(blow.fault.kind for blow in blows if blow.seen.acted)
    minutes = sum(run.load_seconds for run in runs) / 60
    violations = sum(len(run.violations) + len(run.violations_after_restart) for run in runs)
    seeds = ", ".join(str(run.seed) for run in runs)
    rows = [
        ["orders, executions", f"{_orders(runs):,}, {sum(run.executions for run in runs):,}"],
        ["faults that acted", ", ".join(f"{name} {count}" for name, count in acted.most_common())],
        ["violations of an invariant", str(violations)],
    ]
    for aim in AIMS:
        found = times([blow for blow in blows if blow.label == aim.label], aim.measure)
        rows.append([aim.text, f"{_figures(found)} s of {len(found)} (aim {aim.seconds:g} s)"])
    late = sum(run.late_arrivals for run in runs)
    taken = sum(one.invariant == "S17" for run in runs for one in run.violations)
    rows.append(["frozen and thawed: orders that the exchange took late", str(taken)])
    rows.append(["placements that reached it late, and were refused", str(late - taken)])
    return Grid(f"{minutes:.1f} minutes of faults, seed {seeds}", ["", "p50 / max"], rows)


def _orders(runs: Sequence[Soaked]) -> int:
    return sum(sum(run.orders.values()) for run in runs)


def _figures(found: Sequence[float | None]) -> str:
    if not found:
        return "-"
    seconds = [GIVE_UP_SECONDS if one is None else one for one in found]
    return f"{_seconds(percentile(seconds, 50))} / {_seconds(seconds[-1])}"


def _seconds(seconds: float) -> str:
    return f"over {GIVE_UP_SECONDS:g}" if seconds >= GIVE_UP_SECONDS else f"{seconds:.1f}"
