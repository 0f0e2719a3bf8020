"""The operators' command that shows the firm's error account."""

from typing import Annotated, Final

import typer

from client._options import JsonOption, UserOption
from client.operations import Borne, BorneTotal, ErrorAccount
from client.ops import operator_session
from client.render import NOTHING, Cell, Column, count, dollars, moment, show_table
from client.sherwood import Sherwood

PAGE_MAX: Final = 200
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

    async def read_account(sherwood: Sherwood) -> ErrorAccount:
        found: list[Borne] = []
        cursor: str | None = None
        while True:
            page = await sherwood.ops.error_account(
                limit=min(limit - len(found), PAGE_MAX), cursor=cursor
            )
            found += page.items
            cursor = page.next_cursor
            if cursor is None or len(found) >= limit:
                return ErrorAccount(items=tuple(found), totals=page.totals, next_cursor=cursor)

    account = session.run(read_account)
    if as_json:
        session.show_json(account)
        return
    if not account.items:
        session.note("the firm bears nothing")
        return
    show_table(session.out, TOTALS, map(_total_row, account.totals))
    session.out.print()
    show_table(session.out, ITEMS, map(_item_row, account.items))
    if account.next_cursor is not None:
        session.note(f"there are more; --limit {limit * 2} shows them")


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
