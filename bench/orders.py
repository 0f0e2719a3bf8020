"""`python -m bench.orders`: how fast an order is answered, and what it costs, on this machine.

Open loops at fixed rates and closed loops, through HTTP; in the same run, taking turns, bare
Temporal and the usual shape. `QUICK=1` is a short version whose figures are for no document.
"""

import asyncio
import pstats
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer
from pydantic import Field
from pydantic_settings import BaseSettings
from rich.console import Console

from bench.children import ChildFailed
from bench.machine import describe, load_average
from bench.phases import WORKER, Bench, Measured, Phase, Shape, open_bench
from bench.tables import Grid, answers_grid, cpu_grid, latency_grid, ratio_grid, show, wide_console
from bench.target import own_stack
from devstack.errors import StackError
from devstack.services import MODULES, NUMBERED, kind_of

AIM_RATE: Final = 20.0
ANSWERS: Final = (
    Phase("ours", rate=AIM_RATE),
    Phase("ours", rate=AIM_RATE, watched=True),
    Phase("ours", rate=AIM_RATE, request="cancel"),
)
"""What users wait for: in turn, so that none disturbs what is measured of another."""
RATES: Final = (40.0, 60.0)
CLIENTS: Final = (1, 8)
PROFILE_LINES: Final = 40

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
console = wide_console()


class Environment(BaseSettings):
    """The one variable this reads."""

    quick: bool = Field(default=False, validation_alias="QUICK")


@dataclass(frozen=True, slots=True)
class Lengths:
    """How long each part takes."""

    open_seconds: float
    closed_seconds: float
    idle_seconds: float
    rounds: int


LONG: Final = Lengths(open_seconds=30, closed_seconds=15, idle_seconds=10, rounds=3)
QUICK: Final = Lengths(open_seconds=6, closed_seconds=5, idle_seconds=3, rounds=1)


@app.command()
def orders(
    speed: Annotated[float, typer.Option(help="Of the market.")] = 20.0,
    workers: Annotated[int, typer.Option(min=1, help="Order workers.")] = 1,
    only_ours: Annotated[
        bool, typer.Option("--only-ours", help="Without the shapes to compare with.")
    ] = False,
    only_answers: Annotated[
        bool,
        typer.Option(
            "--only-answers",
            help="Only what users wait for at 20 orders/s: place, cancel, be told.",
        ),
    ] = False,
    profile: Annotated[
        str,
        typer.Option(
            help="Instead: 8 clients on this process (orders-1, api, executions, gateway, feed-1) "
            "under cProfile, and where its time goes."
        ),
    ] = "",
    profile_file: Annotated[
        Path | None, typer.Option(help="Keep the profile here, for `python -m pstats`.")
    ] = None,
    markdown: Annotated[bool, typer.Option(help="Print the tables in Markdown too.")] = True,
) -> None:
    """Measure, on a stack of its own, and print tables."""
    lengths = QUICK if Environment().quick else LONG
    if workers != 1 and not (only_ours or only_answers):
        console.print(f"comparing needs one worker, which the others replace ({WORKER})")
        raise typer.Exit(2)
    began = time.monotonic()
    load_before = load_average()
    try:
        if profile:
            asyncio.run(_profile(profile, profile_file, speed, lengths))
            return
        grids = asyncio.run(_measure(speed, workers, lengths, only_ours, only_answers))
    except (StackError, ChildFailed) as error:
        console.print(f"[red]{error}[/]")
        raise typer.Exit(1) from None
    show(console, grids, markdown)
    console.print(f"\nmachine: {describe()}", soft_wrap=True)
    console.print(
        f"command: {'QUICK=1 ' if lengths is QUICK else ''}"
        f"python -m bench.orders {' '.join(sys.argv[1:])}".rstrip()
    )
    console.print(f"{time.monotonic() - began:.0f} s; the machine's load before: {load_before:.2f}")


async def _measure(
    speed: float, workers: int, lengths: Lengths, only_ours: bool, only_answers: bool
) -> list[Grid]:
    with Console(stderr=True).status("starting") as status:
        async with (
            own_stack(speed, workers=workers, tell=status.update) as target,
            open_bench(target, status.update) as bench,
        ):
            # First of all: what has just started is still busy with itself.
            idle = await bench.idle(lengths.idle_seconds)
            answers = [await bench.run(phase, lengths.open_seconds) for phase in ANSWERS]
            if only_answers:
                return [answers_grid(answers)]
            measured = [await bench.run(Phase("ours", rate=r), lengths.open_seconds) for r in RATES]
            for _ in range(lengths.rounds):
                measured += await _round(bench, lengths.closed_seconds, only_ours)
            status.update("stopping")
    measured = [answers[0], *measured]
    order = list(dict.fromkeys(one.phase for one in measured))
    measured.sort(key=lambda one: order.index(one.phase))  # rounds of one phase side by side
    comparison = [] if only_ours else [ratio_grid(measured)]
    return [answers_grid(answers), latency_grid(measured), *comparison, cpu_grid(measured, idle)]


async def _round(bench: Bench, seconds: float, only_ours: bool) -> list[Measured]:
    """Every shape once, in turns, so that a slow minute of the machine meets all of them."""
    shapes: tuple[Shape, ...] = ("ours",) if only_ours else ("ours", "bare", "usual")
    measured: list[Measured] = []
    for shape in shapes:
        async with bench.shape(shape):
            measured += [
                await bench.run(Phase(shape, clients=clients), seconds) for clients in CLIENTS
            ]
    return measured


async def _profile(name: str, file: Path | None, speed: float, lengths: Lengths) -> None:
    if kind_of(name) not in MODULES or name in NUMBERED:
        raise StackError(f"no process of ours is called {name!r}")
    with Console(stderr=True).status("starting") as status:
        async with (
            own_stack(speed, tell=status.update) as target,
            open_bench(target, status.update) as bench,
        ):
            kept = (file or target.stack.home.root / f"{name}.prof").absolute()
            command: Sequence[str] = ("bench.profiled", str(kept), MODULES[kind_of(name)])
            async with bench.in_place_of(name, *command):
                measured = await bench.run(Phase("ours", clients=8), lengths.open_seconds)
            stats = pstats.Stats(str(kept), stream=sys.stdout)
    console.print(latency_grid([measured]).rich())
    stats.sort_stats("tottime").print_stats(PROFILE_LINES)
    stats.sort_stats("cumtime").print_stats(PROFILE_LINES)


if __name__ == "__main__":
    app()
