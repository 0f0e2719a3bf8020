"""The command that lists executions."""

from typing import Annotated, Final
from uuid import UUID

import typer
from rich.text import Text

from client.command.money import format_change
from client.command.options import JsonOption, SymbolOption, UserOption
from client.command.paging import gathered, note_rest
from client.command.render import NOTHING, Cell, Column, count, dollars, moment, show_table
from client.command.session import session_of
from client.models import Execution

COLUMNS: Final = (
    Column("Id"),
    Column("Side"),
    Column("Symbol"),
    Column("Shares", is_number=True),
    Column("Price", is_number=True),
    Column("Notional", is_number=True),
    Column("Better by", is_number=True, is_optional=True),
    Column("Status"),
    Column("Was", is_optional=True),
    Column("At (UTC)", is_optional=True),
)


def executions(
    context: typer.Context,
    symbol: SymbolOption = None,
    order: Annotated[
        UUID | None, typer.Option("--order", metavar="ORDER", help="Of this order only.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="The most to list.")] = 50,
    user: UserOption = None,
    as_json: JsonOption = False,
) -> None:
    """List your executions, newest first; `better by` is against the price the order was sent with.

    Of a busted or corrected one, `was` is what was booked at first.
    """
    session = session_of(context, as_json=as_json, user=user)

    page = session.run(
        lambda sherwood: gathered(
            lambda wanted, cursor: sherwood.executions(
                symbol=symbol, order_id=order, limit=wanted, cursor=cursor
            ),
            limit,
        )
    )
    if as_json:
        session.show_json(page)
        return
    if not page.items:
        session.note("no executions")
        return
    show_table(session.out, COLUMNS, map(_row, page.items))
    note_rest(session.note, page, limit)


def _row(one: Execution) -> list[Cell]:
    was = NOTHING
    if one.was is not None:
        was = f"{count(one.was.shares)} at {dollars(one.was.price_cents)}"
    return [
        one.id,
        Text(one.position, style="green" if one.position == "buy" else "magenta"),
        one.symbol,
        count(one.shares),
        dollars(one.price_cents),
        dollars(one.notional_cents),
        format_change(one.price_improvement_cents),
        Text(one.status, style="" if one.status == "booked" else "yellow"),
        was,
        moment(one.at),
    ]
