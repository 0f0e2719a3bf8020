"""`python -m bench.demo`: users trade on a whole stack, then every order is compared with the
exchange's own record.
"""

import asyncio
import secrets
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from bench.faults import Faults
from bench.kills import KILLABLE
from bench.plan import Wish, draw_wishes
from bench.report import show_trial
from bench.target import OwnStack, RunningStack, own_stack, running_stack
from bench.trial import Trial, run_trial
from devstack.errors import StackError

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
console = Console(highlight=False)


@app.command()
def demo(
    orders: Annotated[int, typer.Option(min=1, help="How many orders.")] = 1_000,
    users: Annotated[int, typer.Option(min=1, help="By how many users.")] = 20,
    seed: Annotated[int, typer.Option(help="Draws wishes and the moments of kills.")] = 1,
    speed: Annotated[float, typer.Option(help="Of the market; of an own stack only.")] = 60.0,
    workers: Annotated[int, typer.Option(min=1, help="Order workers of an own stack.")] = 1,
    kill: Annotated[
        str,
        typer.Option(
            help="Comma-separated; each is killed once in the middle. `all`: " + ",".join(KILLABLE)
        ),
    ] = "",
    unknown: Annotated[
        float,
        typer.Option(
            min=0,
            max=100,
            help="Percent of the calls to the exchange that end without telling how.",
        ),
    ] = 10.0,
    disorder: Annotated[
        float,
        typer.Option(
            min=0, max=100, help="Percent of its messages that come twice; as many change places."
        ),
    ] = 5.0,
    races: Annotated[
        float,
        typer.Option(min=0, max=100, help="Percent of the orders whose cancel races their fill."),
    ] = 10.0,
    use_running: Annotated[
        bool, typer.Option("--use-running", help="Use the stack that `make up` started.")
    ] = False,
    cancel_rest: Annotated[
        bool, typer.Option("--cancel-rest", help="Cancel what still rests at the end.")
    ] = False,
    hold: Annotated[
        bool,
        typer.Option(
            "--hold", help="Keep an own stack up after the tables, until Ctrl-C or SIGTERM."
        ),
    ] = False,
) -> None:
    """Place orders of many users and compare the books with the exchange's own list.

    Ends with 1 if anything differs, if a request was never answered, or if a kill did not happen
    or a fault never struck.
    """
    # Users of a run of their own: on a stack that is kept, a seed's keys may have been used before.
    prefix = f"demo-{secrets.token_hex(3)}" if use_running else "demo"
    wishes = draw_wishes(users, orders, seed, prefix, races / 100)
    faults = Faults(unknown / 100, disorder / 100)
    killed = KILLABLE if kill == "all" else tuple(filter(None, kill.split(",")))
    run = Run(wishes, killed, faults, seed, cancel_rest, hold)
    try:
        trial = asyncio.run(run.on_running() if use_running else run.on_own(speed, workers))
    except StackError as error:
        console.print(f"[red]{error}[/]")
        raise typer.Exit(2) from None
    raise typer.Exit(0 if trial.is_good else 1)


@dataclass(frozen=True)
class Run:
    """One run of the demo, with its progress bar and its tables."""

    wishes: Sequence[Wish]
    killed: Sequence[str]
    faults: Faults
    seed: int
    cancel_rest: bool
    hold: bool

    async def on_own(self, speed: float, workers: int) -> Trial:
        """Run it on a stack that is made for it and goes with it."""
        with Console(stderr=True).status("starting") as status:
            async with own_stack(speed, workers=workers, tell=status.update) as target:
                status.stop()
                trial = await self._on(target)
                if self.hold:
                    console.print(f"held until Ctrl-C: {target.stack.home.root}")
                    await _until_told_to_stop()
        return trial

    async def on_running(self) -> Trial:
        """Run it on the stack that `make up` started."""
        return await self._on(running_stack())

    async def _on(self, target: OwnStack | RunningStack) -> Trial:
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=console) as progress:
            shown = progress.add_task("trading", total=len(self.wishes))
            trial = await run_trial(
                target,
                self.wishes,
                kill=self.killed,
                faults=self.faults,
                seed=self.seed,
                cancel_rest=self.cancel_rest,
                progress=lambda placed: progress.update(shown, completed=placed),
                tell=lambda text: progress.update(shown, description=text[:70]),
            )
        show_trial(console, trial)
        return trial


async def _until_told_to_stop() -> None:
    """Return at SIGINT or SIGTERM; unasked, a background job of a shell ignores SIGINT."""
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signal_number, told.set)
    await told.wait()


if __name__ == "__main__":
    app()
