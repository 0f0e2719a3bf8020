"""Prices and values drawn with characters, as wide and as high as the terminal allows."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from client.command.money import format_dollars
from client.models import Bar

HEIGHT_MAX: Final = 24
TICKS_ACROSS: Final = 5
TICKS_UP: Final = 5
MARGIN: Final = 14
"""Columns beside the bars: the axis, and a price of up to eleven characters."""
_TIMES: Final = ((timedelta(minutes=10), "%H:%M:%S"), (timedelta(days=2), "%H:%M"))
_SPARKS: Final = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[int]) -> str:
    """Return a character a value, each as high as it lies between the lowest and the highest."""
    if not values:
        return ""
    low, high = min(values), max(values)
    steps = len(_SPARKS) - 1
    return "".join(_SPARKS[(value - low) * steps // (high - low or 1)] for value in values)


def bars_across(console: Console) -> int:
    """Return how many bars a plot has room for."""
    return max(10, console.width - MARGIN)


def show_bars(console: Console, title: str, bars: Sequence[Bar]) -> None:
    """Draw bars as candles, side by side: an interval without a trade leaves no gap."""
    figure = _figure(console, title, [bar.at for bar in bars])
    candles = {
        "date": list(range(len(bars))),
        "open": [bar.open_cents for bar in bars],
        "close": [bar.close_cents for bar in bars],
        "high": [bar.high_cents for bar in bars],
        "low": [bar.low_cents for bar in bars],
    }
    figure.draw(figure.candlestick(candles))
    _finish(console, figure, min(candles["low"]), max(candles["high"]))


def show_curve(
    console: Console, title: str, at: Sequence[datetime], amounts_cents: Sequence[int]
) -> None:
    """Draw amounts over time as a line."""
    figure = _figure(console, title, at)
    figure.draw(figure.signal(list(range(len(at))), list(amounts_cents)).lines())
    _finish(console, figure, min(amounts_cents), max(amounts_cents))


def _figure(console: Console, title: str, at: Sequence[datetime]) -> Any:
    # A tenth of a second to load: only who draws waits for it.
    from plotext import figure  # type: ignore[import-untyped]

    figure.clear()
    figure.theme("colorless")
    figure.canvas("default")  # the terminal's own background, dark or light
    figure.plot_size(console.width, min(HEIGHT_MAX, console.height - 4))
    figure.title(title)
    places = _spread(0, len(at) - 1, TICKS_ACROSS)
    span = at[-1] - at[0]
    pattern = next((form for within, form in _TIMES if span < within), "%Y-%m-%d")
    figure.ruler("x").ticks(places, [f"{at[place].astimezone(UTC):{pattern}}" for place in places])
    return figure


def _finish(console: Console, figure: Any, low_cents: int, high_cents: int) -> None:
    amounts = _spread(low_cents, high_cents, TICKS_UP)
    figure.ruler("y").ticks(amounts, [format_dollars(amount) for amount in amounts])
    console.print(Text.from_ansi(figure.build().string().rstrip("\n")), soft_wrap=True)


def _spread(first: int, last: int, count: int) -> list[int]:
    """Return up to `count` different whole numbers from `first` to `last`, evenly."""
    return sorted({first + (last - first) * at // (count - 1) for at in range(count)})
