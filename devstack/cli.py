"""The command line: `python -m devstack up | down | status | logs | kill | recover | ...`."""

import asyncio
import json
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Final, Literal

import typer
from rich.console import Console
from rich.text import Text

from devstack import backups, detached, identity, recovery
from devstack.errors import StackError
from devstack.home import Home
from devstack.process import GOOD, tail
from devstack.recorded import end_leftovers, kill_recorded
from devstack.roles import owner_among, roles_of
from devstack.screen import LiveScreen, PlainScreen, links, process_table
from devstack.settings import StackSettings
from devstack.stack import READY_SECONDS, DevStack

DOWN_SECONDS: Final = 120.0
WORKERS_MAX_BY_DEFAULT: Final = 4

app = typer.Typer(
    help="Start, watch and stop every process of Sherwood on this machine.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)


def main() -> None:
    """Run the command; a `StackError` is a message, not a traceback."""
    try:
        app()
    except StackError as error:
        errors.print(Text(str(error), style="red"), soft_wrap=True)
        raise SystemExit(1) from None


def workers_by_default() -> int:
    """Return how many order workers suit this machine: half its cores, the rest are busy too."""
    return max(1, min(WORKERS_MAX_BY_DEFAULT, (os.cpu_count() or 1) // 2))


@app.command()
def up(
    workers: Annotated[
        int | None, typer.Option(min=0, help="Order workers; by default half the cores.")
    ] = None,
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Return when everything is ready.")
    ] = False,
    ports: Annotated[
        Literal["usual", "auto"], typer.Option(help="The usual ports, or free ones.")
    ] = "usual",
    only: Annotated[
        list[str] | None,
        typer.Option(help="Start only this; `servers` is three, `feed` all of them. Repeatable."),
    ] = None,
    without: Annotated[list[str] | None, typer.Option(help="Leave this out. Repeatable.")] = None,
    ready_within: Annotated[
        float, typer.Option(help="Seconds that --detach waits, preparations aside.")
    ] = READY_SECONDS,
    in_background: Annotated[bool, typer.Option("--in-background", hidden=True)] = False,
) -> None:
    """Start everything and keep it running."""
    settings = StackSettings()
    if detach:
        raise typer.Exit(detached.start(Home(settings.home), console, sys.argv[1:]))
    screen = LiveScreen(console) if console.is_terminal else PlainScreen(console)
    stack = DevStack(
        settings,
        workers=workers_by_default() if workers is None else workers,
        only=only or (),
        without=without or (),
        auto_ports=ports == "auto",
        on_event=screen.event,
        on_progress=screen.progress,
    )
    deadline = ready_within if in_background else float("inf")
    asyncio.run(_supervise(stack, screen, deadline))


async def _supervise(stack: DevStack, screen: LiveScreen | PlainScreen, deadline: float) -> None:
    """Run the stack until a signal asks for its end. Raises `StackError` if it cannot start."""
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, asked.set)
    await stack.open()
    failure: list[StackError] = []

    async def until_ready() -> None:
        try:
            await stack.wait_ready(deadline)
        except StackError as error:
            failure.append(error)
            asked.set()

    async def until_ended() -> None:
        await stack.wait_ended()
        asked.set()

    showing = loop.create_task(screen.follow(stack))
    waiting = [loop.create_task(until_ready()), loop.create_task(until_ended())]
    try:
        await asked.wait()
        waiting[0].cancel()
        await stack.close()
    finally:
        showing.cancel()
        await asyncio.wait([showing, *waiting])
    if failure:
        raise failure[0]


@app.command()
def down() -> None:
    """Stop a running stack, in order; its data stays."""
    home = Home(StackSettings().home)
    if not _stop(home):
        console.print("nothing runs")


def _stop(home: Home) -> bool:
    """Stop the supervisor and whatever a dead one left; True if there was anything."""
    state = home.read_state()
    supervisor = state.get("supervisor") or {}
    found = False
    if home.is_held() and supervisor:
        found = True
        who = identity.Identity(supervisor["pid"], supervisor["startedAt"])
        if identity.send_signal(who, signal.SIGTERM):
            console.print(f"stopping (pid {who.pid})")
        deadline = time.monotonic() + DOWN_SECONDS
        while home.is_held():
            if time.monotonic() > deadline:
                raise StackError(f"the supervisor does not stop (pid {supervisor['pid']})")
            time.sleep(0.1)
        console.print("stopped; the data stays")
    left = asyncio.run(end_leftovers(home))
    if left:
        console.print(f"ended {len(left)} processes that a dead supervisor had left")
    return found or bool(left)


@app.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Say what runs; exit code 0 only if all of it is ready."""
    home = Home(StackSettings().home)
    state = home.read_state()
    running = home.is_held()
    if not running:
        state = {**state, "phase": "stopped", "supervisor": None, "processes": []}
    if as_json:
        sys.stdout.write(json.dumps({"running": running, **state}, indent=1) + "\n")
    elif not running:
        console.print(f"nothing runs (state in {home.root})")
    else:
        roles = asyncio.run(roles_of(state["processes"]))
        for row in state["processes"]:
            row["detail"] = row["detail"] or roles.get(row["name"], "")
        console.print(Text(f"Sherwood is {state['phase']}\n", style="bold"))
        console.print(process_table(state["processes"]))
        console.print()
        console.print(links(state["ports"]), end="")
    well = all(row["state"] in GOOD for row in state["processes"])
    if not running or state["phase"] != "ready" or not well:
        raise typer.Exit(1)


@app.command()
def logs(
    name: Annotated[str, typer.Argument(help="A process, or `supervisor`.")],
    follow: Annotated[bool, typer.Option("--follow", "-f")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0)] = 100,
) -> None:
    """Print the last lines of a process's log."""
    path = Home(StackSettings().home).log_of(name)
    if not path.exists():
        known = sorted(entry.stem for entry in path.parent.glob("*.log"))
        raise StackError(f"no log of {name!r}; there are: {', '.join(known) or 'none yet'}")
    for line in tail(path, lines):
        sys.stdout.write(line + "\n")
    if follow:
        try:
            _follow(path)
        except KeyboardInterrupt:
            return


def _follow(path: Path) -> None:
    position, inode = 0, None
    while True:
        # At a restart it moves aside, and for a moment there is none.
        with suppress(FileNotFoundError), path.open("rb") as file:
            found = os.fstat(file.fileno())
            if found.st_ino != inode:
                position, inode = (found.st_size if inode is None else 0), found.st_ino
            file.seek(position)
            new = file.read()
            position += len(new)
            sys.stdout.write(new.decode(errors="replace"))
            sys.stdout.flush()
        time.sleep(0.2)


@app.command()
def kill(
    name: Annotated[
        str, typer.Argument(help="A process of `status`; `feed` is the one that owns the feed.")
    ],
) -> None:
    """SIGKILL a process, to see it come back."""
    home = Home(StackSettings().home)
    rows = home.read_state().get("processes") or []
    if not home.is_held():
        raise StackError("nothing runs")
    name = asyncio.run(owner_among(rows, name))
    pid = kill_recorded(home, name)
    if pid is None:
        state = next(row["state"] for row in rows if row["name"] == name)
        raise StackError(f"{name} has no process of ours to kill (it is {state})")
    console.print(f"killed {name} (pid {pid})")


@app.command()
def backup(
    folder: Annotated[Path, typer.Argument(help="A new folder for the copy.")],
) -> None:
    """Copy the data of Postgres while it runs."""
    settings = StackSettings()
    asyncio.run(backups.back_up(settings, Home(settings.home), folder))
    console.print(f"Postgres is copied to {folder}", soft_wrap=True)


@app.command()
def restore(
    folder: Annotated[Path, typer.Argument(help="What `backup` made.")],
) -> None:
    """Put a copy of Postgres back while nothing runs; then `recover postgres`."""
    settings = StackSettings()
    home = Home(settings.home)
    with home.locked():
        asyncio.run(end_leftovers(home))
        replaced = asyncio.run(backups.put_back(settings, home, folder))
    console.print(f"restored; what was there before is in {replaced}", soft_wrap=True)
    console.print("next: python -m devstack recover postgres")


@app.command()
def recover(
    lost: Annotated[recovery.Lost, typer.Argument(help="The store that was lost or restored.")],
) -> None:
    """Start again after a store was lost: orders and executions come back from what is left."""
    raise typer.Exit(recovery.recover(StackSettings(), lost))


@app.command()
def reset() -> None:
    """Stop, and remove the data of every server that the stack itself started."""
    settings = StackSettings()
    home = Home(settings.home)
    _stop(home)
    if not home.root.exists():
        console.print("nothing to remove")
        return
    with home.locked():
        removed = home.wipe()
    for path in removed:
        console.print(f"removed {path}", soft_wrap=True)
    for variable, value in (
        ("SHERWOOD_DATABASE_URL", settings.database_url),
        ("SHERWOOD_NATS_URL", settings.nats_url),
        ("SHERWOOD_TEMPORAL_ADDRESS", settings.temporal_address),
    ):
        if value is not None:
            console.print(f"left alone: the server of {variable}, which is not ours")
