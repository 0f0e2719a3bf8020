"""The command `python -m bench.prices`."""

import asyncio
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final

import typer
from pydantic import Field
from pydantic_settings import BaseSettings
from rich.console import Console

from bench.children import ChildFailed
from bench.machine import describe, load_average
from bench.prices.cores import chosen_cores
from bench.prices.dialing import CannotOpen
from bench.prices.plan import FULL, LONG, QUICK, ROWS, Lengths, Row, parse_row
from bench.prices.run import Kind, Measured, open_price_bench
from bench.prices.tables import delivery_grid, load_grid, ratio
from bench.tables import Grid, show, wide_console
from devstack.errors import StackError
from devstack.settings import CHECKOUT

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
console = wide_console()
FAULTS_SHOWN: Final = 5


class Environment(BaseSettings):
    """The one variable this reads."""

    quick: bool = Field(default=False, validation_alias="QUICK")


@app.command()
def prices(
    row: Annotated[
        list[str] | None,
        typer.Option(help="Only this one, as 5000x200: viewers x updates/s offered to each."),
    ] = None,
    only_hub: Annotated[bool, typer.Option("--only-hub", help="Without the baseline.")] = False,
    seconds: Annotated[float | None, typer.Option(help="Length of a window.")] = None,
    rounds: Annotated[int | None, typer.Option(min=1, help="Runs of each, in turns.")] = None,
    checkout: Annotated[Path, typer.Option(help="The code the node runs.")] = CHECKOUT,
    markdown: Annotated[bool, typer.Option(help="Print the tables in Markdown too.")] = True,
) -> None:
    """Measure a node on a core of its own, and print tables."""
    quick = Environment().quick
    lengths = QUICK if quick else LONG
    lengths = replace(
        lengths,
        window_seconds=seconds or lengths.window_seconds,
        rounds=rounds or lengths.rounds,
    )
    try:
        rows = [parse_row(text) for text in row or []]
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    rows = rows or ([FULL] if quick else list(ROWS))
    kinds: tuple[Kind, ...] = ("hub",) if only_hub else ("hub", "usual")
    began, load_before = time.monotonic(), load_average()
    try:
        measured = asyncio.run(_measure(rows, kinds, lengths, checkout.resolve()))
    except (StackError, ChildFailed, CannotOpen) as error:
        console.print(str(error), style="red", markup=False)
        raise typer.Exit(1) from None
    _tell(measured, [delivery_grid(measured), load_grid(measured)], markdown)
    console.print(f"\nmachine: {describe()}", soft_wrap=True)
    console.print(f"cores: {chosen_cores().describe()}")
    console.print(
        f"command: {'QUICK=1 ' if quick else ''}python -m bench.prices "
        f"{' '.join(sys.argv[1:])}".rstrip()
    )
    console.print(f"{time.monotonic() - began:.0f} s; the machine's load before: {load_before:.2f}")
    full = [one for one in measured if one.row == FULL]
    if full and not only_hub:
        hub = [one for one in full if one.kind == "hub"]
        console.print(
            f"hub/naive: {ratio(full):.1f}x delivered, p99 {hub[0].percentile_ms(99):.0f} ms"
        )


async def _measure(
    rows: list[Row], kinds: tuple[Kind, ...], lengths: Lengths, checkout: Path
) -> list[Measured]:
    base_us = time.monotonic_ns() // 1000
    with Console(stderr=True).status("starting") as status:
        async with open_price_bench(base_us, checkout, status.update) as bench:
            return [
                await bench.measure(kind, row, lengths)
                for row in rows
                for _ in range(lengths.rounds)
                for kind in kinds
            ]


def _tell(measured: list[Measured], grids: list[Grid], markdown: bool) -> None:
    show(console, grids, markdown)
    for one in measured:
        for fault in one.checked.faults[:FAULTS_SHOWN] if one.checked else []:
            console.print(f"{one.row}: {fault}", style="red", markup=False)
