"""The measurements as tables: on the terminal, and in Markdown for docs/performance.md."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Final

from rich.console import Console
from rich.table import Table

from bench.figures import percentile
from bench.phases import Measured, Phase, Shape

SHAPES: Final[Mapping[Shape, str]] = {
    "ours": "Sherwood",
    "bare": "bare Temporal",
    "usual": "the usual shape",
}


AIM_MS: Final = 200.0
FILE_WIDTH: Final = 160
"""Columns of a table that goes to a file: there is no window to fit."""


def wide_console() -> Console:
    """Return a console that does not squeeze tables where nobody sees them squeezed."""
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=FILE_WIDTH)


@dataclass(frozen=True)
class Grid:
    """A table before it is drawn."""

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]

    def rich(self) -> Table:
        """For the terminal: words to the left, numbers to the right."""
        table = Table(title=self.title)
        for index, heading in enumerate(self.headings):
            table.add_column(heading, justify="left" if index == 0 else "right")
        for row in self.rows:
            table.add_row(*row)
        return table

    def markdown(self) -> str:
        """For a document."""
        lines = [
            f"**{self.title}**",
            "",
            "| " + " | ".join(self.headings) + " |",
            "|---|" + "---:|" * (len(self.headings) - 1),
            *("| " + " | ".join(row) + " |" for row in self.rows),
        ]
        return "\n".join(lines)


def latency_grid(measured: Sequence[Measured]) -> Grid:
    """Return one line a phase, in the order they ran."""
    rows = [
        (
            f"{SHAPES[one.phase.shape]}, {one.phase.load}",
            f"{len(one.samples.latencies_ms):,}",
            f"{one.samples.rate:.1f}",
            f"{one.samples.percentile_ms(50):.1f}",
            f"{one.samples.percentile_ms(99):.1f}",
            f"{max(one.samples.latencies_ms, default=0):.1f}",
            _errors(one),
            f"{one.events:.1f}",
            f"{one.transitions:.1f}",
        )
        for one in measured
    ]
    headings = ("load", "orders", "per s", "p50 ms", "p99 ms", "max ms", "errors", "events")
    return Grid("Placing an order", (*headings, "transitions"), rows)


def answers_grid(measured: Sequence[Measured]) -> Grid:
    """Return what users wait for at one rate: an order's answer, a cancel's, to be told."""
    rows: list[tuple[str, Sequence[float], str]] = []
    for one in measured:
        asked = "a cancel's answer" if one.phase.request == "cancel" else "an order's answer"
        watching = ", its owner watching" if one.phase.watched else ""
        rows.append((f"{asked}{watching}", one.samples.latencies_ms, _errors(one)))
        if one.phase.watched:
            name = "execution at the exchange to its owner's stream"
            rows.append((name, one.told_ms, f"{one.untold} x untold" if one.untold else "0"))
    headings = ("what", "samples", "p50 ms", "p99 ms", "max ms", "errors", "p99 under 200 ms")
    return Grid(
        f"At {measured[0].phase.rate:g} a second",
        headings,
        [
            (
                name,
                f"{len(found_ms):,}",
                *(f"{percentile(sorted(found_ms), one):.1f}" for one in (50, 99, 100)),
                errors,
                "met" if percentile(sorted(found_ms), 99) < AIM_MS else "missed",
            )
            for name, found_ms, errors in rows
        ],
    )


def ratio_grid(measured: Sequence[Measured]) -> Grid:
    """Return closed-loop rates of the shapes beside each other: means of the rounds."""
    rows = []
    for clients in sorted({one.phase.clients for one in measured if one.phase.clients}):
        rates = {shape: _rate(measured, Phase(shape, clients=clients)) for shape in SHAPES}
        ours, bare, usual = rates["ours"], rates["bare"], rates["usual"]
        rows.append(
            (
                Phase("ours", clients=clients).load,
                *(f"{rate:.1f}" if rate else "" for rate in (ours, bare, usual)),
                f"{ours / bare:.2f}" if ours and bare else "",
                f"{ours / usual:.2f}" if ours and usual else "",
            )
        )
    headings = ("orders a second", *SHAPES.values(), "ours / bare", "ours / usual")
    return Grid("Beside bare Temporal and the usual shape", headings, rows)


def cpu_grid(measured: Sequence[Measured], idle: Mapping[str, float]) -> Grid:
    """Return processor milliseconds an order, by process, above what the market alone takes.

    What an idle process takes is subtracted for as long as the load lasted.
    """
    phases = list(dict.fromkeys(one.phase for one in measured))
    names = list(dict.fromkeys(name for one in measured for name in one.cpu_seconds))
    rows = []
    for name in names:
        cells = [_cpu_ms(measured, phase, name, idle) for phase in phases]
        rows.append((name, f"{100 * idle.get(name, 0.0):.0f}", *(_cell(cell) for cell in cells)))
    totals = [
        sum(_cpu_ms(measured, phase, name, idle) or 0.0 for name in names) for phase in phases
    ]
    rows.append(("all", f"{100 * sum(idle.values()):.0f}", *(_cell(total) for total in totals)))
    headings = [f"{phase.shape}, {_short(phase)}" for phase in phases]
    return Grid("Processor time, ms an order", ("process", "idle, % of a core", *headings), rows)


def show(console: Console, grids: Sequence[Grid], markdown: bool) -> None:
    """Print the tables, and, if wanted, the same in Markdown."""
    for grid in grids:
        console.print(grid.rich())
    if markdown:
        for grid in grids:
            console.print(f"\n{grid.markdown()}", soft_wrap=True, markup=False)


def _errors(one: Measured) -> str:
    return ", ".join(f"{n} x {name}" for name, n in one.errors.items()) or "0"


def _rate(measured: Sequence[Measured], phase: Phase) -> float:
    rates = [one.samples.rate for one in measured if one.phase == phase]
    return mean(rates) if rates else 0.0


def _cpu_ms(
    measured: Sequence[Measured], phase: Phase, name: str, idle: Mapping[str, float]
) -> float | None:
    used = [
        (one.cpu_seconds[name] - idle.get(name, 0.0) * one.samples.seconds)
        / max(1, len(one.samples.latencies_ms))
        for one in measured
        if one.phase == phase and name in one.cpu_seconds
    ]
    return 1000 * mean(used) if used else None


def _cell(milliseconds: float | None) -> str:
    return "" if milliseconds is None else f"{max(0.0, milliseconds):.1f}"


def _short(phase: Phase) -> str:
    return f"{phase.rate:g}/s" if phase.rate is not None else f"{phase.clients} cl."
