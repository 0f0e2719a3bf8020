"""`python -m tests.soak`: load and random faults on a whole stack, then every invariant checked."""

import asyncio
import json
import secrets
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from bench.tables import wide_console
from devstack.errors import StackError
from devstack.stack import DevStack
from tests.soak.report import reliability, show
from tests.soak.result import Soaked
from tests.soak.running import Run, Wanted, soak, wired_stack

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
console = wide_console()
progress = Console(stderr=True, highlight=False)


@app.command()
def main(
    minutes: Annotated[float, typer.Option(min=0.1, help="How long there is load.")] = 2.0,
    seed: Annotated[
        int | None, typer.Option(help="Draws faults and load; any if left out.")
    ] = None,
    users: Annotated[int, typer.Option(min=1, help="How many users trade.")] = 6,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write what came of it to this file.")
    ] = None,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the reliability table in Markdown as well.")
    ] = False,
    together: Annotated[
        list[Path] | None,
        typer.Option(help="Run nothing: the reliability table of these files of --json."),
    ] = None,
) -> None:
    """Trade while processes are killed and frozen, connections cut and slow, the exchange wrong.

    Ends with 1 if any invariant is violated, or if no fault of a kind acted; then the faults, the
    calls and the logs are kept in a folder. Ctrl-C ends the load; all is healed and checked.
    """
    if together:
        runs = [msgspec.json.decode(path.read_bytes(), type=Soaked) for path in together]
        print(reliability(runs).markdown())  # noqa: T201 - a document, not a screen
        raise typer.Exit
    seed = secrets.randbelow(1_000_000) if seed is None else seed
    wanted = Wanted(seed=seed, seconds=minutes * 60, users=users)
    console.print(f"seed {seed}, {minutes:g} minutes, {users} users")
    try:
        soaked = asyncio.run(_run(wanted))
    except StackError as error:
        console.print(f"[red]{error}[/]")
        raise typer.Exit(2) from None
    if json_file is not None:
        json_file.write_bytes(msgspec.json.format(msgspec.json.encode(soaked)))
    show(console, soaked)
    if markdown:
        print(reliability([soaked]).markdown())  # noqa: T201
    raise typer.Exit(0 if soaked.is_good else 1)


async def _run(wanted: Wanted) -> Soaked:
    stop = asyncio.Event()
    began = time.monotonic()

    def tell(text: str) -> None:
        progress.print(f"{time.monotonic() - began:6.1f}  {text}", markup=False)

    def end(number: signal.Signals) -> None:
        tell(f"{number.name}: no more load; what is under way is finished, healed and checked")
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, end, number)
    tell("starting")
    async with wired_stack(wanted) as (stack, wires):
        try:
            run = await soak(wanted, stack, wires, stop=stop, tell=tell)
        except Exception:
            console.print(f"[red]kept[/]: {_keep_logs(wanted, stack)}")
            raise
        if not run.soaked.is_good:
            folder = _keep_logs(wanted, stack)
            _keep_evidence(run, folder)
            console.print(f"[red]kept[/]: {folder}")
    return run.soaked


def _keep_logs(wanted: Wanted, stack: DevStack) -> Path:
    """Keep every process's log, and how each was doing, in a folder of their own."""
    folder = Path(tempfile.mkdtemp(prefix=f"sherwood-soak-{wanted.seed}-"))
    (folder / "processes.json").write_text(json.dumps(stack.rows(), indent=1))
    shutil.copytree(stack.home.log_of("api").parent, folder / "logs")
    return folder


def _keep_evidence(run: Run, folder: Path) -> None:
    """Keep what a run is judged by: its result, the calls, our tables and the exchange's record."""
    (folder / "result.json").write_bytes(msgspec.json.format(msgspec.json.encode(run.soaked)))
    with (folder / "calls.jsonl").open("wb") as calls:
        for call in run.history.calls:
            calls.write(msgspec.json.encode(call) + b"\n")
    tables = {"tables": run.evidence.tables, "venue": run.evidence.venue}
    (folder / "evidence.json").write_bytes(msgspec.json.encode(tables))


if __name__ == "__main__":
    app()
