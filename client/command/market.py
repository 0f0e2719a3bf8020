"""The commands about the market: what is traded, live prices, price history."""

import asyncio
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Annotated, Final

import typer

from client.command.completion import complete_symbol
from client.command.money import format_change, format_dollars, format_percent
from client.command.options import (
    CountOption,
    JsonOption,
    SecondsOption,
    SymbolArgument,
    TableOption,
    UserOption,
    parse_symbol,
)
from client.command.paging import gathered, note_rest
from client.command.plots import bars_across, show_bars
from client.command.render import (
    Cell,
    Column,
    count,
    dollars,
    moment,
    show_line,
    show_symbols,
    show_table,
)
from client.command.session import session_of
from client.command.watch import JsonView, LineView, PriceBoard, TableView, View
from client.command.watch import watch as watch_events
from client.models import Bar, BarPage, Interval, SymbolPage
from client.sherwood import Sherwood

BARS_MAX: Final = 5_000
BARS_IN_A_TABLE: Final = 50
TIMES: Final = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]
COLUMNS: Final = (
    Column("At (UTC)"),
    Column("Open", is_number=True),
    Column("High", is_number=True),
    Column("Low", is_number=True),
    Column("Close", is_number=True),
    Column("Volume", is_number=True),
    Column("Trades", is_number=True, is_optional=True),
)

NamesArgument = Annotated[
    list[str],
    typer.Argument(metavar="SYMBOL...", parser=parse_symbol, autocompletion=complete_symbol),
]
OptionalNamesArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[SYMBOL]...",
        parser=parse_symbol,
        autocompletion=complete_symbol,
        help="These only; all without.",
    ),
]


def symbols(
    context: typer.Context,
    names: OptionalNamesArgument = None,
    user: UserOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the symbols that can be traded, with their newest prices."""
    session = session_of(context, as_json=as_json, user=user)

    async def list_symbols(sherwood: Sherwood) -> SymbolPage:
        if names:
            return SymbolPage(items=tuple([await sherwood.symbol(name) for name in names]))
        return await gathered(lambda _, cursor: sherwood.symbols(cursor=cursor))

    page = session.run(list_symbols)
    if as_json:
        session.show_json(page)
    else:
        show_symbols(session.out, page.items)


def watch(
    context: typer.Context,
    names: NamesArgument,
    count: CountOption = None,
    seconds: SecondsOption = None,
    user: UserOption = None,
    as_json: JsonOption = False,
) -> None:
    """Watch live prices: a table at a terminal, a line a price elsewhere; Ctrl-C ends it.

    A lost connection comes back by itself. With --count and --seconds, exit code 7 says that the
    prices did not come in that time.
    """
    session = session_of(context, as_json=as_json, user=user)
    wanted = tuple(dict.fromkeys(names))
    board = PriceBoard(wanted)
    view: View
    if as_json:
        view = JsonView(session.out)
    elif session.out.is_terminal:
        view = TableView(session.out, board)
    else:
        view = LineView(session.out, session.notes, wanted)

    async def follow(sherwood: Sherwood) -> bool:
        try:
            async with asyncio.timeout(seconds), aclosing(sherwood.prices(wanted)) as events:
                with view:
                    return await watch_events(events, board, view, count)
        except TimeoutError:
            return count is None and board.was_connected

    session.follow(follow)


def bars(
    context: typer.Context,
    symbol: SymbolArgument,
    interval: Annotated[Interval, typer.Option("--interval", help="What one bar is of.")] = "1m",
    begin: Annotated[
        datetime | None,
        typer.Option("--from", metavar="TIME", formats=TIMES, help="Not before this time (UTC)."),
    ] = None,
    end: Annotated[
        datetime | None,
        typer.Option("--to", metavar="TIME", formats=TIMES, help="Before this time (UTC)."),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit",
            min=1,
            max=BARS_MAX,
            help="The most to show; as many as fit, or 50 in a table, without.",
        ),
    ] = None,
    as_table: TableOption = False,
    user: UserOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the price history of SYMBOL: candles at a terminal, a table elsewhere.

    The newest bars, or with --from the first ones after that time. TIME is such as 2026-11-23 or
    2026-11-23T14:30.
    """
    session = session_of(context, as_json=as_json, user=user)
    drawn = session.out.is_terminal and not as_table and not as_json
    wanted = limit or (bars_across(session.out) if drawn else BARS_IN_A_TABLE)

    async def read_bars(sherwood: Sherwood) -> BarPage:
        return await sherwood.bars(
            symbol, interval, begin=_in_utc(begin), end=_in_utc(end), limit=wanted
        )

    page = session.run(read_bars)
    if as_json:
        session.show_json(page)
        return
    if not page.items:
        session.note("no trades in that time")
        return
    if drawn:
        first, last = moment(page.items[0].at), moment(page.items[-1].at)
        show_bars(session.out, f"{symbol} {interval}, {first} to {last} UTC", page.items)
    else:
        show_table(session.out, COLUMNS, map(_bar_row, page.items))
    show_line(session.notes if not drawn else session.out, _summary(page.items))
    note_rest(session.note, page, wanted)


def _in_utc(at: datetime | None) -> datetime | None:
    return None if at is None else at.replace(tzinfo=UTC)


def _bar_row(bar: Bar) -> list[Cell]:
    return [
        moment(bar.at),
        dollars(bar.open_cents),
        dollars(bar.high_cents),
        dollars(bar.low_cents),
        dollars(bar.close_cents),
        count(bar.volume),
        count(bar.trades),
    ]


def _summary(bars: tuple[Bar, ...]) -> str:
    opened_cents, closed_cents = bars[0].open_cents, bars[-1].close_cents
    change_cents = closed_cents - opened_cents
    return (
        f"from {format_dollars(opened_cents)} to {format_dollars(closed_cents)}: "
        f"{format_change(change_cents)} ({format_percent(change_cents, opened_cents)}), "
        f"{count(sum(bar.volume for bar in bars))} shares traded"
    )
