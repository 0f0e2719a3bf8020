"""The command `python -m bench.capacity`."""

import asyncio
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer
from rich.console import Console

from bench.capacity.figures import read, write
from bench.capacity.measure import LENGTHS, VIEWERS, measure
from bench.capacity.needs import Assumptions
from bench.capacity.page import lines, page
from bench.children import ChildFailed
from bench.prices.dialing import CannotOpen
from bench.tables import wide_console
from devstack.errors import StackError
from devstack.settings import CHECKOUT

FIGURES: Final = CHECKOUT / "docs/capacity.json"
PAGE: Final = CHECKOUT / "docs/capacity.md"

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
console = wide_console()


@app.command()
def capacity(
    orders: Annotated[int, typer.Option(min=20, help="How many are measured.")] = 900,
    again: Annotated[
        bool, typer.Option("--again", help="Measure nothing: reckon with the figures there are.")
    ] = False,
    figures_file: Annotated[Path, typer.Option("--figures", help="Of the last run.")] = FIGURES,
    page_file: Annotated[Path, typer.Option("--page", help="What is written.")] = PAGE,
) -> None:
    """Measure what an order and a viewer cost, and write what many users need."""
    try:
        if again:
            figures = read(figures_file)
        else:
            with Console(stderr=True).status("starting") as status:
                figures = asyncio.run(measure(orders, VIEWERS, LENGTHS, status.update))
            write(figures, figures_file)
    except (StackError, ChildFailed, CannotOpen, OSError, msgspec.DecodeError) as error:
        console.print(str(error), style="red", markup=False)
        raise typer.Exit(1) from None
    page_file.write_text(page(figures, Assumptions()))
    for line in lines(figures, Assumptions()):
        console.print(line)
    console.print(f"written: {page_file}")
