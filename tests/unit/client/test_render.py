from collections.abc import Callable
from io import StringIO

import msgspec
import pytest
from rich.console import Console

from client.command.render import ORDER_COLUMNS, order_line, order_row, show_table
from client.command.watch import PriceBoard, TableView
from client.models import Order, Tick
from client.prices import Connected, Live, PriceEvent, Prices, Stale
from client.reconnecting import Disconnected
from tests.unit.client.fake_sherwood import ORDER, ORDER_ID, TICK

Terminal = Callable[[int], Console]


@pytest.fixture
def terminal() -> Terminal:
    """A terminal of a given width that writes into its `file`, without colour."""

    def make(width: int) -> Console:
        return Console(file=StringIO(), force_terminal=True, color_system=None, width=width)

    return make


def written(console: Console) -> str:
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def order(**changes: object) -> Order:
    return msgspec.convert(ORDER | changes, Order)


@pytest.mark.parametrize(("width", "has_average"), [(80, False), (140, True)])
def test_terminal_shows_whole_ids_and_leaves_columns_out_if_it_is_narrow(
    terminal: Terminal, width: int, has_average: bool
) -> None:
    console = terminal(width)

    show_table(console, ORDER_COLUMNS, [order_row(order())])

    assert ORDER_ID in written(console)
    assert "filled" in written(console)
    assert ("Average" in written(console)) is has_average


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, "buy 10 META at 522.10: filled, 10 of 10 at 522.10"),
        (
            {"type": "market", "status": "submitted", "filledShares": 0},
            "buy 10 META at market: submitted",
        ),
        (
            {"position": "sell", "status": "expired", "filledShares": 4, "reason": "end-of-day"},
            "sell 10 META at 522.10: expired, 4 of 10 at 1,305.24 (end-of-day)",
        ),
    ],
)
def test_order_is_told_as_a_sentence(changes: dict[str, object], line: str) -> None:
    assert str(order_line(order(**changes))) == line


@pytest.mark.parametrize(
    ("last", "shown"),
    [
        (Connected("s1"), "LIVE"),
        (Stale(), "STALE"),
        (Live(), "LIVE"),
        (Disconnected("reset", 1.5), "DISCONNECTED  reset; trying again in 1.5 s"),
    ],
)
def test_watch_table_shows_prices_and_how_far_to_trust_them(
    terminal: Terminal, last: PriceEvent, shown: str
) -> None:
    console, board = terminal(100), PriceBoard(["META", "NEW"])
    view = TableView(console, board)

    with view:
        for event in (Connected("s0"), Prices((msgspec.convert(TICK, Tick),)), last):
            view.show(event, board.apply(event))

    final = written(console)[-900:]
    assert "522.10" in final
    assert "+0.40%" in final
    assert "14:30:00" in final
    assert shown in final
