"""The command `python -m bench.prices`."""

import asyncio
import pstats
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Final

import typer
from pydantic import Field
from pydantic_settings import BaseSettings
from rich.console import Console

from bench.children import ChildFailed
from bench.machine import describe, load_average
from bench.prices.aims import aims, aims_grid, verdict
from bench.prices.cores import chosen_cores
from bench.prices.dialing import CannotOpen
from bench.prices.path import Path as WholePath
from bench.prices.path import whole_path
from bench.prices.plan import FULL, LONG, QUICK, ROWS, Lengths, Row, parse_row
from bench.prices.plot import draw
from bench.prices.run import Code, Kind, Measured, open_price_bench
from bench.prices.stalled import ROW as STALLED_ROW
from bench.prices.stalled import Stalled, stalled
from bench.prices.tables import (
    KINDS,
    delivery_grid,
    load_grid,
    path_cores_grid,
    path_grid,
    stalled_grid,
)
from bench.tables import Grid, show, wide_console
from devstack.errors import StackError
from devstack.settings import CHECKOUT

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
console = wide_console()
FAULTS_SHOWN: Final = 5
STRANGERS_MAX: Final = 0.05
CLIENT_MAX: Final = 0.85
OFFERED_MIN: Final = 0.98
PROFILE_LINES: Final = 40
PATH_WINDOWS: Final = 3
"""The whole path is measured for so many windows: it has fewer updates."""


class Environment(BaseSettings):
    """The one variable this reads."""

    quick: bool = Field(default=False, validation_alias="QUICK")


@dataclass
class Results:
    """All that a run measured."""

    measured: list[Measured] = field(default_factory=list)
    stalled: Stalled | None = None
    path: WholePath | None = None

    def grids(self) -> Iterator[Grid]:
        """Every table."""
        if self.measured:
            yield delivery_grid(self.measured)
            yield load_grid(self.measured)
        if self.stalled:
            yield stalled_grid(self.stalled)
        if self.path:
            yield path_grid(self.path)
            yield path_cores_grid(self.path)
        found = aims(self.measured, self.stalled, self.path)
        if found:
            yield aims_grid(found)

    def doubts(self) -> Iterator[str]:
        """What was wrong with recorded streams, and runs that say little."""
        for one in self.measured:
            name = f"{one.row}, {KINDS[one.kind]}"
            if one.strangers > STRANGERS_MAX:
                yield f"{name}: others took {one.strangers:.2f} of the server's core: repeat it"
            if one.shares["client"] > CLIENT_MAX:
                yield f"{name}: the load client took {one.shares['client']:.2f} of its core"
            if one.offered_share < OFFERED_MIN:
                yield f"{name}: only {one.offered_share:.0%} of the load was offered"
            if one.watched.lost:
                yield f"{name}: {one.watched.lost} streams ended in the window"
            for fault in one.checked.faults[:FAULTS_SHOWN] if one.checked else []:
                yield f"{name}: {fault}"


@app.command()
def prices(
    row: Annotated[
        list[str] | None,
        typer.Option(help="Only this row, as 5000x200: viewers x updates/s offered to each."),
    ] = None,
    only_hub: Annotated[bool, typer.Option("--only-hub", help="Without the baseline.")] = False,
    only_stalled: Annotated[
        bool, typer.Option("--stalled", help="Only what stalled viewers cost.")
    ] = False,
    only_path: Annotated[
        bool, typer.Option("--path", help="Only the whole path, on a whole stack.")
    ] = False,
    seconds: Annotated[float | None, typer.Option(help="Length of a window.")] = None,
    rounds: Annotated[int | None, typer.Option(min=1, help="Runs of each, in turns.")] = None,
    speed: Annotated[float, typer.Option(help="Of the market, for the whole path.")] = 20.0,
    checkout: Annotated[Path, typer.Option(help="The code the node runs.")] = CHECKOUT,
    profile: Annotated[
        Path | None,
        typer.Option(
            help="Run the node under cProfile; show where its time goes, keep the rest here."
        ),
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the rows into this file.")] = None,
    markdown: Annotated[bool, typer.Option(help="Print the tables in Markdown too.")] = True,
) -> None:
    """Measure a node on a core of its own beside the usual way, then the whole path; print tables.

    With `QUICK=1` only the first row, once, in under a minute.
    """
    quick = Environment().quick
    lengths = _lengths(QUICK if quick else LONG, seconds, rounds)
    try:
        rows = [parse_row(text) for text in row or []]
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    everything = not (quick or rows or only_stalled or only_path)
    if not rows and not (only_stalled or only_path):
        rows = [FULL] if quick else list(ROWS)
    kinds: tuple[Kind, ...] = ("hub",) if only_hub else ("hub", "usual")
    began, load_before = time.monotonic(), load_average()
    run = Run(lengths, Code(checkout.resolve(), profile.absolute() if profile else None))
    try:
        if sys.platform != "linux":
            raise CannotOpen("the load client needs epoll, that is Linux")
        results = asyncio.run(
            run.all(
                rows, kinds, everything or only_stalled, speed if everything or only_path else 0
            )
        )
    except (StackError, ChildFailed, CannotOpen) as error:
        console.print(str(error), style="red", markup=False)
        raise typer.Exit(1) from None
    show(console, list(results.grids()), markdown)
    for doubt in results.doubts():
        console.print(doubt, style="red", markup=False, soft_wrap=True)
    if plot:
        draw(results.measured, plot)
    if profile:
        stats = pstats.Stats(str(profile), stream=sys.stdout)
        stats.sort_stats("tottime").print_stats(PROFILE_LINES)
    console.print(f"\nmachine: {describe()}", soft_wrap=True)
    console.print(f"cores: {chosen_cores().describe()}")
    command = f"{'QUICK=1 ' if quick else ''}python -m bench.prices {' '.join(sys.argv[1:])}"
    console.print(f"command: {command}".rstrip())
    console.print(f"{time.monotonic() - began:.0f} s; the machine's load before: {load_before:.2f}")
    last = verdict(results.measured)
    if last:
        console.print(last)


@dataclass(frozen=True)
class Run:
    """One run of the command."""

    lengths: Lengths
    code: Code

    async def all(
        self, rows: Sequence[Row], kinds: Sequence[Kind], with_stalled: bool, path_speed: float
    ) -> Results:
        """Measure what is wanted; servers of one row take turns, so that all meet a slow minute."""
        results = Results()
        base_us = time.monotonic_ns() // 1000
        with Console(stderr=True).status("starting") as status:
            if rows or with_stalled:
                most = max((row.viewers for row in rows), default=STALLED_ROW.viewers)
                async with open_price_bench(base_us, self.code, most, status.update) as bench:
                    results.measured = [
                        await bench.measure(kind, row, self.lengths)
                        for row in rows
                        for _ in range(self.lengths.rounds)
                        for kind in kinds
                    ]
                    if with_stalled:
                        results.stalled = await stalled(bench, self.lengths.warm_up_seconds)
            if path_speed:
                seconds = PATH_WINDOWS * self.lengths.window_seconds
                results.path = await whole_path(path_speed, seconds, status.update)
        return results


def _lengths(usual: Lengths, seconds: float | None, rounds: int | None) -> Lengths:
    return replace(
        usual,
        window_seconds=seconds or usual.window_seconds,
        rounds=rounds or usual.rounds,
    )
