"""What the terminal shows: one live table where there is a terminal, plain lines elsewhere."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from devstack.stack import DevStack

COLOURS: Final = {
    "ready": "green",
    "done": "green",
    "external": "cyan",
    "waiting": "dim",
    "preparing": "yellow",
    "starting": "yellow",
    "stopping": "yellow",
    "stopped": "dim",
    "unready": "red",
    "restarting": "red",
    "failed": "bold red",
}
REFRESH_SECONDS: Final = 0.25
EVENTS_SHOWN: Final = 6
PROGRESS_PAUSE_SECONDS: Final = 5.0
"""Plain output repeats a running preparation this often, not every second."""


def process_table(rows: Iterable[Mapping[str, Any]]) -> Table:
    """Return the table of processes from the rows of the state file."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("process", "state", "restarts", "pid", "address", ""):
        table.add_column(title, justify="right" if title in ("restarts", "pid") else "left")
    for row in rows:
        state = str(row["state"])
        restarts = int(row["restarts"])
        table.add_row(
            Text(row["name"]),
            Text(state, style=COLOURS.get(state, "")),
            Text(str(restarts), style="red" if restarts else "dim"),
            Text(str(row["pid"] or "")),
            Text(row["address"]),
            Text(row["detail"], style="dim"),
        )
    return table


def links(ports: Mapping[str, int]) -> Text:
    """Return where a person goes next."""
    text = Text()
    if "api" in ports:
        text.append(f"The page     http://127.0.0.1:{ports['api']}/\n")
        text.append(f"API docs     http://127.0.0.1:{ports['api']}/docs\n")
    if "temporal-ui" in ports:
        text.append(f"Temporal UI  http://127.0.0.1:{ports['temporal-ui']}\n")
    return text


class PlainScreen:
    """Writes one line an event; for logs, pipes and the background."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._begun = clock()
        self._progress_at: dict[str, float] = {}

    def event(self, text: str) -> None:
        """Write what happened, with the seconds since the start."""
        elapsed = self._clock() - self._begun
        self._console.print(Text(f"{elapsed:7.1f} s  {text}"), soft_wrap=True, highlight=False)

    def progress(self, name: str, text: str) -> None:
        """Write how far a preparation of `name` is, now and then."""
        now = self._clock()
        if now >= self._progress_at.get(name, 0.0):
            self._progress_at[name] = now + PROGRESS_PAUSE_SECONDS
            self.event(f"{name}: {text}")

    async def follow(self, stack: DevStack) -> None:
        """Nothing to do between events."""


class LiveScreen:
    """Redraws the table four times a second."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def event(self, text: str) -> None:
        """Events are read from the stack when the screen is drawn."""

    def progress(self, name: str, text: str) -> None:
        """Progress as well: it is the last column of the table."""

    async def follow(self, stack: DevStack) -> None:
        """Show the stack until cancelled; the last picture stays."""
        with Live(console=self._console, auto_refresh=False) as live:
            try:
                while True:
                    live.update(self._picture(stack), refresh=True)
                    await asyncio.sleep(REFRESH_SECONDS)
            finally:
                live.update(self._picture(stack), refresh=True)

    def _picture(self, stack: DevStack) -> RenderableType:
        headline = Text(f"Sherwood is {stack.phase}", style="bold")
        headline.append(
            "   Ctrl-C stops everything" if stack.phase in ("starting", "ready") else "",
            style="dim",
        )
        recent = list(stack.events)[-EVENTS_SHOWN:]
        return Group(
            headline,
            Text(),
            process_table(stack.rows()),
            Text(),
            links(stack.ports),
            *(Text(line, style="dim", overflow="ellipsis", no_wrap=True) for line in recent),
        )
