"""`sherwood watch`: what is known of the prices watched, and three ways to show it."""

from collections import defaultdict, deque
from collections.abc import AsyncIterator, Sequence
from datetime import UTC
from typing import Final, Protocol, Self

import msgspec
from rich.console import Console
from rich.text import Text

from client.command.live_table import LiveTable
from client.command.plots import sparkline
from client.command.render import (
    NOTHING,
    Cell,
    Column,
    change_cells,
    count,
    dollars,
    show_line,
)
from client.models import Tick
from client.prices import Connected, Live, PriceEvent, Prices, Stale
from client.reconnecting import Disconnected

_COLUMNS: Final = (
    Column("Symbol"),
    Column("Price", is_number=True),
    Column("Change", is_number=True),
    Column("%", is_number=True),
    Column("Trend", is_optional=True),
    Column("Open", is_number=True, is_optional=True),
    Column("High", is_number=True, is_optional=True),
    Column("Low", is_number=True, is_optional=True),
    Column("Volume", is_number=True, is_optional=True),
    Column("At (UTC)", is_optional=True),
)


TREND_PRICES: Final = 24


class PriceBoard:
    """The newest tick of each symbol watched and its last different prices, and how far they can be
    trusted (`state`).
    """

    def __init__(self, symbols: Sequence[str]) -> None:
        self.ticks: dict[str, Tick | None] = dict.fromkeys(symbols)
        self.trend_cents: dict[str, deque[int]] = defaultdict(lambda: deque(maxlen=TREND_PRICES))
        self.state = "connecting"
        self.was_connected = False
        self._versions: dict[str, int] = {}

    def apply(self, event: PriceEvent) -> tuple[Tick, ...]:
        """Take in an event and return the ticks in it that are news."""
        match event:
            case Connected():
                # A server begun anew counts versions from the start again.
                self._versions.clear()
                self.state, self.was_connected = "live", True
            case Stale():
                self.state = "stale"
            case Live():
                self.state = "live"
            case Disconnected():
                self.state = "disconnected"
            case Prices(ticks):
                return tuple(tick for tick in ticks if self._take(tick))
        return ()

    def _take(self, tick: Tick) -> bool:
        if tick.v is not None:
            if tick.v <= self._versions.get(tick.symbol, -1):
                return False
            self._versions[tick.symbol] = tick.v
        trend_cents = self.trend_cents[tick.symbol]
        price_cents = tick.price_cents
        if price_cents is not None and (not trend_cents or trend_cents[-1] != price_cents):
            trend_cents.append(price_cents)
        self.ticks[tick.symbol] = tick
        return True


class View(Protocol):
    """A way to show a board as it changes; entered before the first event."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exception: object) -> None: ...

    def show(self, event: PriceEvent, fresh: Sequence[Tick]) -> None:
        """Show one event, `fresh` being the ticks in it that are news."""
        ...


class TableView(LiveTable):
    """A table that changes in place, for a terminal."""

    columns = _COLUMNS

    def __init__(self, console: Console, board: PriceBoard) -> None:
        self._board = board
        super().__init__(console)

    def show(self, event: PriceEvent, fresh: Sequence[Tick]) -> None:
        """Note what the table cannot say; the display reads the board by itself."""
        self.tell(event)
        if self._board.state == "stale":
            self.note = "the exchange's feed is silent: prices may be old"

    def state(self) -> str:
        """The board's."""
        return self._board.state

    def rows(self) -> list[list[Cell]]:
        """A row a symbol, in the order they were asked for."""
        return [self._row(symbol, tick) for symbol, tick in self._board.ticks.items()]

    def _row(self, symbol: str, tick: Tick | None) -> list[Cell]:
        if tick is None or tick.price_cents is None:
            return [symbol, *[NOTHING] * (len(_COLUMNS) - 1)]
        trend_cents = self._board.trend_cents[symbol]
        rise_cents = trend_cents[-1] - trend_cents[-2] if len(trend_cents) > 1 else 0
        style = "bold green" if rise_cents > 0 else "bold red" if rise_cents < 0 else "bold"
        return [
            symbol,
            Text(dollars(tick.price_cents), style=style),
            *change_cells(tick),
            sparkline(trend_cents),
            dollars(tick.open_cents),
            dollars(tick.high_cents),
            dollars(tick.low_cents),
            count(tick.volume),
            _clock(tick)[:8],
        ]


class LineView:
    """One aligned line a price, for a pipe or a file; all else goes to `notes`."""

    def __init__(self, console: Console, notes: Console, symbols: Sequence[str]) -> None:
        self._console = console
        self._notes = notes
        self._symbol_width = max(map(len, symbols))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None: ...

    def show(self, event: PriceEvent, fresh: Sequence[Tick]) -> None:
        """Write a line for each fresh tick, or a note."""
        for tick in fresh:
            change, percent = change_cells(tick)
            show_line(
                self._console,
                f"{_clock(tick):<12}  {tick.symbol:<{self._symbol_width}}  "
                f"{dollars(tick.price_cents):>12}  {change!s:>10}  {percent!s:>8}",
            )
        match event:
            case Stale():
                show_line(self._notes, "stale: the exchange's feed is silent, prices may be old")
            case Live():
                show_line(self._notes, "live again")
            case Disconnected(reason, retry_seconds):
                show_line(
                    self._notes, f"disconnected: {reason}; trying again in {retry_seconds:.1f} s"
                )


class JsonView:
    """One JSON object a line; `event` says what it is, a `price` has the tick's fields too."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None: ...

    def show(self, event: PriceEvent, fresh: Sequence[Tick]) -> None:
        """Write a line for each fresh tick, or for the event."""
        for tick in fresh:
            self._write({"event": "price", **msgspec.to_builtins(tick)})
        match event:
            case Connected(stream_id):
                self._write({"event": "connected", "streamId": stream_id})
            case Stale():
                self._write({"event": "stale"})
            case Live():
                self._write({"event": "live"})
            case Disconnected(reason, retry_seconds):
                self._write(
                    {
                        "event": "disconnected",
                        "detail": reason,
                        "retrySeconds": round(retry_seconds, 3),
                    }
                )

    def _write(self, line: dict[str, object]) -> None:
        show_line(self._console, msgspec.json.encode(line).decode())


async def watch(
    events: AsyncIterator[PriceEvent], board: PriceBoard, view: View, count_max: int | None
) -> bool:
    """Show events until `count_max` prices were shown, for ever without; whether they were."""
    shown = 0
    async for event in events:
        fresh = board.apply(event)
        if count_max is not None:
            fresh = fresh[: count_max - shown]
        view.show(event, fresh)
        shown += len(fresh)
        if count_max is not None and shown >= count_max:
            return True
    return False


def _clock(tick: Tick) -> str:
    """Return the time of a tick in UTC to the millisecond."""
    return NOTHING if tick.at is None else f"{tick.at.astimezone(UTC):%H:%M:%S.%f}"[:-3]
