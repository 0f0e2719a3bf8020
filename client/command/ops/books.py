"""The operators' command that shows the firm's error account."""

from typing import Annotated, Final

import typer

from client.command.ops.app import operator_session
from client.command.options import JsonOption, UserOption
from client.command.paging import gathered, note_rest
from client.command.render import NOTHING, Cell, Column, count, dollars, moment, show_table
from client.operations import Borne, BorneTotal

TOTALS: Final = (
    Column("Cause"),
    Column("Symbol"),
    Column("Shares", is_number=True),
    Column("Cash", is_number=True),
)
ITEMS: Final = (
    Column("Booked (UTC)"),
    *TOTALS,
    Column("User"),
    Column("Order"),
    Column("Execution"),
    Column("Report", is_optional=True),
)


def error_account(
    context: typer.Context,
    limit: Annotated[int, typer.Option("--limit", min=1, help="The most items to list.")] = 50,
    user: UserOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what the firm bears and why: totals by cause, then the items, newest first."""
    session = operator_session(context, as_json=as_json, user=user)

    account = session.run(
        lambda sherwood: gathered(
            lambda wanted, cursor: sherwood.ops.error_account(limit=wanted, cursor=cursor), limit
        )
    )
    if as_json:
        session.show_json(account)
        return
    if not account.items:
        session.note("the firm bears nothing")
        return
    show_table(session.out, TOTALS, map(_total_row, account.totals))
    session.out.print()
    show_table(session.out, ITEMS, map(_item_row, account.items))
    note_rest(session.note, account, limit)


def _total_row(total: BorneTotal) -> list[Cell]:
    return [
        total.cause,
        total.symbol or NOTHING,
        count(total.shares),
        dollars(total.amount_cents),
    ]


def _item_row(item: Borne) -> list[Cell]:
    return [
        moment(item.booked_at),
        item.cause,
        item.symbol,
        count(item.shares),
        dollars(item.amount_cents),
        item.user_id,
        str(item.order_id),
        item.execution_id,
        item.report_id,
    ]
