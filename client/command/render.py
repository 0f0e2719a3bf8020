"""Answers as text: tables with colour at a terminal, plain aligned columns anywhere else."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from client.command.money import average_cents, format_change, format_dollars, format_percent
from client.models import Clock, ListedSymbol, Order, Portfolio, Tick, Why

NOTHING: Final = "-"

_STATUS_STYLES: Final = {
    "filled": "green",
    "partially_filled": "cyan",
    "submitted": "cyan",
    "pending": "yellow",
    "pending_cancel": "yellow",
    "rejected": "red",
    "failed": "red",
    "cancelled": "dim",
    "expired": "dim",
}


@dataclass(frozen=True, slots=True)
class Column:
    """A heading, the side its cells are flush with, whether a narrow terminal does without."""

    heading: str
    is_number: bool = False
    is_optional: bool = False


Cell = Text | str
"""A Text where colour adds something; it must also be understood without."""


def show_table(console: Console, columns: Sequence[Column], rows: Iterable[Sequence[Cell]]) -> None:
    """Write rows under headings: a rich table at a terminal, aligned text without borders else."""
    if console.is_terminal:
        console.print(fitting_table(console, columns, list(rows)))
        return
    texts = [[str(cell) for cell in row] for row in rows]
    headings = [column.heading.upper() for column in columns]
    widths = [max(map(len, cells)) for cells in zip(headings, *texts, strict=True)]
    for cells in (headings, *texts):
        show_line(console, aligned(columns, widths, cells))


def fitting_table(
    console: Console, columns: Sequence[Column], rows: Sequence[Sequence[Cell]]
) -> Table:
    """Return rows as a table for a terminal, without its last optional columns if it is narrow."""
    unbounded = console.options.update(max_width=10_000)
    kept = list(range(len(columns)))
    while True:
        table = _table([columns[at] for at in kept], [[row[at] for at in kept] for row in rows])
        droppable = [at for at in kept if columns[at].is_optional]
        # A table that rich has to squeeze breaks ids in two, which then cannot be copied.
        if not droppable or console.measure(table, options=unbounded).maximum <= console.width:
            return table
        kept.remove(droppable[-1])


def _table(columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(
            column.heading, justify="right" if column.is_number else "left", overflow="fold"
        )
    for row in rows:
        table.add_row(*row)
    return table


def aligned(columns: Sequence[Column], widths: Sequence[int], cells: Sequence[str]) -> str:
    """Return cells as one line of text, each padded to its width."""
    return "  ".join(
        cell.rjust(width) if column.is_number else cell.ljust(width)
        for column, width, cell in zip(columns, widths, cells, strict=True)
    ).rstrip()


def show_line(console: Console, line: str) -> None:
    """Write one line as it is: never wrapped, never coloured, brackets not read as markup."""
    console.print(line, markup=False, highlight=False, soft_wrap=True, emoji=False)


def dollars(amount_cents: int | None) -> str:
    """Return cents as dollars, or the sign for nothing."""
    return NOTHING if amount_cents is None else format_dollars(amount_cents)


def count(number: int | None) -> str:
    """Return a number with its thousands set apart, or the sign for nothing."""
    return NOTHING if number is None else f"{number:,}"


def moment(at: datetime | None) -> str:
    """Return a time in UTC to the second."""
    return NOTHING if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


ORDER_COLUMNS: Final = (
    Column("Id"),
    Column("Side"),
    Column("Symbol"),
    Column("Shares", is_number=True),
    Column("Filled", is_number=True, is_optional=True),
    Column("Limit", is_number=True, is_optional=True),
    Column("Average", is_number=True, is_optional=True),
    Column("Status"),
    Column("Placed (UTC)", is_optional=True),
)


def order_row(order: Order) -> list[Cell]:
    """Return one line of a list of orders."""
    return [
        str(order.id),
        Text(order.position, style="green" if order.position == "buy" else "magenta"),
        order.symbol,
        count(order.num_shares),
        count(order.filled_shares),
        "market" if order.type == "market" else dollars(order.price_cents),
        dollars(average_cents(order.filled_notional_cents, order.filled_shares)),
        Text(order.status, style=_STATUS_STYLES.get(order.status, "")),
        moment(order.created_at),
    ]


def order_line(order: Order) -> Text:
    """Return an order as a sentence: `buy 10 META at market: filled, 10 of 10 at 522.10`."""
    terms = "at market" if order.type == "market" else f"at {dollars(order.price_cents)}"
    line = Text(f"{order.position} {order.num_shares:,} {order.symbol} {terms}: ")
    line.append(order.status, style=_STATUS_STYLES.get(order.status, ""))
    if order.filled_shares:
        average = dollars(average_cents(order.filled_notional_cents, order.filled_shares))
        line.append(f", {order.filled_shares:,} of {order.num_shares:,} at {average}")
    if order.reason:
        line.append(f" ({order.reason})")
    return line


def show_facts(console: Console, facts: Sequence[tuple[str, str]]) -> None:
    """Write names and what they are, one a line, what they are below each other."""
    width = max(len(name) for name, _ in facts)
    for name, fact in facts:
        show_line(console, f"{name:<{width}}  {fact}")


_HOURS: Final = {"off": "around the clock", "regular": "in regular hours"}


def show_clock(console: Console, clock: Clock) -> None:
    """Write whether the market is open, then the times (UTC)."""
    if clock.is_open is None or clock.halted is None:
        market = halted = "not known: the exchange's feed is silent"
    else:
        state = "open" if clock.is_open else "closed"
        hours = _HOURS.get(clock.sessions or "")
        market = f"{state}, orders are taken {hours}" if hours else state
        halted = ", ".join(clock.halted) or "nothing"
    facts = (
        ("market", market),
        ("halted", halted),
        ("now", moment(clock.at)),
        ("at the exchange", moment(clock.exchange_at)),
        ("regular session opens", moment(clock.next_open_at)),
        ("regular session closes", moment(clock.next_close_at)),
    )
    show_facts(console, facts)


def show_why(console: Console, why: Why) -> None:
    """Write the sentence, then the facts it rests on."""
    show_line(console, why.explanation)
    show_line(console, "")
    traded = why.traded
    since = f"since {moment(traded.since)} UTC"
    facts = (
        ("waits for", why.waits_for),
        ("limit sent", dollars(why.limit_cents)),
        ("best price", f"{dollars(why.best_price_cents)} {since}"),
        ("still away", dollars(why.distance_cents)),
        ("last price", f"{dollars(why.last_price_cents)} at {moment(why.last_price_at)} UTC"),
        (
            "traded at its limit",
            f"{count(traded.reached_volume)} shares {since}, by bars of {traded.interval}",
        ),
        ("since its last fill", f"{count(traded.missed_volume)} shares"),
        ("filled", f"{count(why.filled_shares)} of {count(why.num_shares)}"),
        ("still to fill", count(why.leaves_shares)),
    )
    show_facts(console, facts)


def show_amounts(console: Console, amounts: Sequence[tuple[str, str]]) -> None:
    """Write labels and amounts, one a line, the amounts flush right."""
    label_width = max(len(label) for label, _ in amounts)
    amount_width = max(len(amount) for _, amount in amounts)
    for label, amount in amounts:
        show_line(console, f"{label:<{label_width}}  {amount:>{amount_width}}")


def show_portfolio(console: Console, portfolio: Portfolio) -> None:
    """Write cash first, then the positions; the account's state where it is not the usual one."""
    if portfolio.state not in (None, "active"):
        show_line(console, f"this account is {portfolio.state}")
    show_amounts(
        console,
        [
            ("cash", dollars(portfolio.cash_cents)),
            ("held for open orders", dollars(portfolio.held_cash_cents)),
            ("buying power", dollars(portfolio.buying_power_cents)),
            ("total value", dollars(portfolio.total_value_cents)),
        ],
    )
    if not portfolio.positions:
        return
    console.print()
    show_table(
        console,
        (
            Column("Symbol"),
            Column("Shares", is_number=True),
            Column("Held", is_number=True),
            Column("Price", is_number=True),
            Column("Value", is_number=True),
        ),
        [
            [
                holding.symbol,
                count(holding.shares),
                count(holding.held_shares),
                dollars(holding.price_cents),
                dollars(holding.value_cents),
            ]
            for holding in portfolio.positions
        ],
    )


def change_cells(tick: Tick) -> tuple[Cell, Cell]:
    """Return the change against the opening price, in dollars and in percent."""
    change_cents = tick.change_cents
    if change_cents is None or not tick.open_cents:
        return NOTHING, NOTHING
    style = "green" if change_cents > 0 else "red" if change_cents < 0 else ""
    return (
        Text(format_change(change_cents), style=style),
        Text(format_percent(change_cents, tick.open_cents), style=style),
    )


def show_symbols(console: Console, symbols: Iterable[ListedSymbol]) -> None:
    """Write the directory."""
    show_table(
        console,
        (
            Column("Symbol"),
            Column("Name"),
            Column("Price", is_number=True),
            Column("Change", is_number=True),
            Column("%", is_number=True),
            Column("Volume", is_number=True),
        ),
        [
            [
                listed.symbol,
                listed.name or NOTHING,
                dollars(listed.price_cents),
                *change_cells(listed),
                count(listed.volume),
            ]
            for listed in symbols
        ],
    )
