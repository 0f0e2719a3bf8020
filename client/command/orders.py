"""The command that lists orders, and watches them change."""

import asyncio
from contextlib import aclosing
from typing import Annotated

import typer

from client.command.options import CountOption, JsonOption, SecondsOption, SymbolOption, UserOption
from client.command.order_board import (
    OrderBoard,
    OrderJson,
    OrderLines,
    OrderTable,
    OrderView,
    wanted,
    watch_orders,
)
from client.command.paging import gathered, note_rest
from client.command.render import ORDER_COLUMNS, order_row, show_table
from client.command.session import Session, session_of
from client.models import OrderPage
from client.sherwood import Sherwood


def orders(
    context: typer.Context,
    status: Annotated[
        str | None, typer.Option("--status", help="open, closed, or names such as filled,expired.")
    ] = None,
    symbol: SymbolOption = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="The most orders to list.")] = 50,
    is_watched: Annotated[
        bool, typer.Option("--watch", help="Go on, and show how they change; Ctrl-C ends it.")
    ] = False,
    count: CountOption = None,
    seconds: SecondsOption = None,
    user: UserOption = None,
    as_json: JsonOption = False,
) -> None:
    """List your orders, newest first.

    With --watch a table that changes in place at a terminal; elsewhere a line an order and then a
    line a change, oldest first. An order that was shown stays, whatever becomes of it.
    """
    if not is_watched and (count, seconds) != (None, None):
        raise typer.BadParameter("--count and --seconds go with --watch")
    session = session_of(context, as_json=as_json, user=user)

    async def read_orders(sherwood: Sherwood) -> OrderPage:
        return await gathered(
            lambda wanted, cursor: sherwood.orders(
                status=status, symbol=symbol, limit=wanted, cursor=cursor
            ),
            limit,
        )

    if is_watched:
        board = OrderBoard(wanted(status, symbol), limit)
        view = _view(session, board)

        async def follow(sherwood: Sherwood) -> bool:
            try:
                async with (
                    asyncio.timeout(seconds),
                    aclosing(sherwood.follow_orders()) as stream,
                ):
                    with view:
                        return await watch_orders(
                            stream, lambda: read_orders(sherwood), board, view, count
                        )
            except TimeoutError:
                return count is None and board.state != "connecting"

        session.follow(follow)

    page = session.run(read_orders)
    if as_json:
        session.show_json(page)
        return
    if not page.items:
        session.note("no orders")
        return
    show_table(session.out, ORDER_COLUMNS, map(order_row, page.items))
    note_rest(session.note, page, limit)


def _view(session: Session, board: OrderBoard) -> OrderView:
    if session.as_json:
        return OrderJson(session.out)
    if session.out.is_terminal:
        return OrderTable(session.out, board)
    return OrderLines(session.out, session.note)
