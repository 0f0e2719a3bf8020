"""A table that changes in place, at a terminal: what every `--watch` has in common."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from client.command.render import Cell, Column, fitting_table
from client.reconnecting import Disconnected

FRAME_LINES = 4
"""Of a table that is no row: blank, headings, rule, state."""


class LiveTable(ABC):
    """Redrawn eight times a second from what `rows` and `state` say then; a context manager.

    It is drawn once as it is made: a subclass sets first what these two read.
    """

    columns: Sequence[Column]

    def __init__(self, console: Console) -> None:
        self._console = console
        self.note = ""
        self._display = Live(console=console, get_renderable=self._render, refresh_per_second=8)

    def __enter__(self) -> Self:
        self._display.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._display.stop()

    @abstractmethod
    def rows(self) -> Sequence[Sequence[Cell]]:
        """The rows, the most important first: a low terminal leaves out the last."""

    @abstractmethod
    def state(self) -> str:
        """One word; all but `live` dims the table."""

    def tell(self, event: object) -> None:
        """Note a lost connection until there is another event."""
        if isinstance(event, Disconnected):
            self.note = f"{event.reason}; trying again in {event.retry_seconds:.1f} s"
        else:
            self.note = ""

    def _render(self) -> Group:
        rows, state = self.rows(), self.state()
        room = max(1, self._console.height - FRAME_LINES)
        table = fitting_table(self._console, self.columns, rows[:room])
        is_live = state == "live"
        if not is_live:
            table.style = "dim"
        line = Text(state.upper(), style="bold green" if is_live else "bold yellow")
        if len(rows) > room:
            line.append(f"  and {len(rows) - room} more", style="dim")
        if self.note:
            line.append(f"  {self.note}", style="yellow")
        return Group(table, line)
