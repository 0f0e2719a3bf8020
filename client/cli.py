"""The `sherwood` command."""

import asyncio
from contextlib import aclosing
from typing import Annotated
from uuid import UUID, uuid4

import typer

from client import ops, ops_dead_letters
from client._options import (
    JsonOption,
    KeyOption,
    LimitOption,
    OrderArgument,
    SharesArgument,
    SymbolArgument,
    TifOption,
    UserOption,
    WaitOption,
    parse_symbol,
)
from client._session import Session, Wiring
from client.asking import clock, why
from client.cancelling import cancel_everything, exit_code_of_all
from client.disarming import cancel_after
from client.errors import OutcomeUnknown, SherwoodError
from client.events import events
from client.executions import executions
from client.exit_codes import MEANINGS, ExitCode, exit_code_of_cancelled, exit_code_of_placed
from client.models import Order, Position, SymbolPage, TimeInForce
from client.ops_books import error_account
from client.ops_kill_switch import kill, kill_switch, release
from client.ops_orders import order, risk
from client.ops_queries import queries
from client.ops_reconciliation import reconcile
from client.ops_trails import timeline, verify
from client.paging import gathered, note_rest
from client.previewing import holds, preview
from client.render import (
    ORDER_COLUMNS,
    order_line,
    order_row,
    show_line,
    show_portfolio,
    show_symbols,
    show_table,
)
from client.sherwood import Sherwood
from client.watch import JsonView, LineView, PriceBoard, TableView, View
from client.watch import watch as watch_events

app = typer.Typer(
    name="sherwood",
    help="Trade at Sherwood: place and cancel orders, watch prices and your portfolio.",
    epilog="Exit codes: "
    + "; ".join(f"{code.value} {meaning}" for code, meaning in MEANINGS.items())
    + ".\n\nEnvironment: SHERWOOD_API_URL (http://127.0.0.1:8000), SHERWOOD_TOKEN, SHERWOOD_USER.",
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(ops.app)
ops.app.command("error-account")(error_account)
ops.app.command()(order)
ops.app.command()(queries)
ops.app.command()(risk)
ops.app.command()(timeline)
ops.app.add_typer(ops_dead_letters.app)
ops.app.command()(verify)
ops.app.command("kill-switch")(kill_switch)
ops.app.command()(kill)
ops.app.command()(release)
ops.app.command()(reconcile)
app.command()(executions)
app.command("cancel-after")(cancel_after)


for command in (clock, why, preview, holds):
    app.command()(command)


def _session(context: typer.Context, *, as_json: bool, user: str | None = None) -> Session:
    return Session(context.ensure_object(Wiring), as_json=as_json, user=user)


@app.command()
def token(
    context: typer.Context,
    user: Annotated[str, typer.Argument(metavar="USER")],
    operator: Annotated[
        bool, typer.Option("--operator", help="With the operator's scope.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Print a token for USER, and nothing else; for servers in development."""
    session = _session(context, as_json=as_json)
    answer = session.run(
        lambda sherwood: sherwood.development_token(user, scope="operator" if operator else None),
        needs_user=False,
    )
    if as_json:
        session.show_json(answer)
    else:
        show_line(session.out, answer.token)


@app.command()
def buy(
    context: typer.Context,
    symbol: SymbolArgument,
    shares: SharesArgument,
    limit: LimitOption = None,
    tif: TifOption = None,
    key: KeyOption = None,
    wait: WaitOption = None,
    user: UserOption = None,
    as_json: JsonOption = False,
) -> None:
    """Buy SHARES of SYMBOL."""
    session = _session(context, as_json=as_json, user=user)
    _place(session, "buy", symbol, shares, limit, tif, key, wait)


@app.command()
def sell(
    context: typer.Context,
    symbol: SymbolArgument,
    shares: SharesArgument,
    limit: LimitOption = None,
    tif: TifOption = None,
    key: KeyOption = None,
    wait: WaitOption = None,
    user: UserOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sell SHARES of SYMBOL."""
    session = _session(context, as_json=as_json, user=user)
    _place(session, "sell", symbol, shares, limit, tif, key, wait)


def _place(
    session: Session,
    position: Position,
    symbol: str,
    shares: int,
    limit_cents: int | None,
    tif: TimeInForce | None,
    key: UUID | None,
    wait_seconds: float | None,
) -> None:
    key = key or uuid4()  # made here, so that it can be told even if the command is interrupted

    async def place(sherwood: Sherwood) -> tuple[Order, bool]:
        placement = await sherwood.place(
            position, symbol, shares, price_cents=limit_cents, time_in_force=tif, key=key
        )
        order = placement.order
        if wait_seconds is not None:
            order = await sherwood.wait_for_outcome(order, wait_seconds)
        return order, placement.replayed

    try:
        order, replayed = session.run(place)
    except KeyboardInterrupt:
        session.explain(OutcomeUnknown(key, SherwoodError("interrupted")))
        raise typer.Exit(ExitCode.OUTCOME_UNKNOWN) from None
    _show_order(session, order)
    if replayed:
        session.note("this key had placed this order before; nothing new was placed")
    if order.placement_is_unknown:
        session.note(f"not answered by the exchange yet; repeat with --key {key} --wait 30 to see")
    raise typer.Exit(exit_code_of_placed(order))


def _show_order(session: Session, order: Order) -> None:
    if session.as_json:
        session.show_json(order)
    else:
        session.out.print(
            f"{order.id}  ", order_line(order), sep="", highlight=False, soft_wrap=True
        )


@app.command()
def cancel(
    context: typer.Context,
    order_id: OrderArgument = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Everything that is open, instead of one order.")
    ] = False,
    symbol: Annotated[
        str | None,
        typer.Option(
            "--symbol", metavar="SYMBOL", parser=parse_symbol, help="With --all: only of SYMBOL."
        ),
    ] = None,
    wait: WaitOption = None,
    user: UserOption = None,
    as_json: JsonOption = False,
) -> None:
    """Cancel what is unfilled of ORDER, or of all orders; may be repeated."""
    if everything == (order_id is not None):
        raise typer.BadParameter("name one ORDER, or say --all")
    if symbol is not None and not everything:
        raise typer.BadParameter("--symbol goes with --all")
    session = _session(context, as_json=as_json, user=user)
    if order_id is not None:
        _cancel_one(session, order_id, wait)
    else:
        _cancel_all(session, symbol, wait)


def _cancel_one(session: Session, order_id: UUID, wait_seconds: float | None) -> None:
    async def cancel_order(sherwood: Sherwood) -> Order:
        answer = await sherwood.cancel(order_id)
        if answer.ok or wait_seconds is None:
            return answer.order
        return await sherwood.wait_for_cancel(answer.order, wait_seconds)

    order = session.run(cancel_order)
    _show_order(session, order)
    code = exit_code_of_cancelled(order)
    if code is ExitCode.OUTCOME_UNKNOWN:
        session.note("asked for; the exchange has not answered yet")
    elif code is ExitCode.REFUSED:
        session.note("not cancelled: the exchange was faster, or said no")
    raise typer.Exit(code)


def _cancel_all(session: Session, symbol: str | None, wait_seconds: float | None) -> None:
    items = session.run(
        lambda sherwood: cancel_everything(sherwood, symbol, wait_seconds, session.note)
    )
    if session.as_json:
        session.show_json({"items": items})
    elif items:
        show_table(session.out, ORDER_COLUMNS, [order_row(item.order) for item in items])
    raise typer.Exit(exit_code_of_all(items))


@app.command()
def orders(
    context: typer.Context,
    status: Annotated[
        str | None, typer.Option("--status", help="open, closed, or names such as filled,expired.")
    ] = None,
    symbol: Annotated[
        str | None, typer.Option("--symbol", metavar="SYMBOL", parser=parse_symbol)
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="The most orders to list.")] = 50,
    user: UserOption = None,
    as_json: JsonOption = False,
) -> None:
    """List your orders, newest first."""
    session = _session(context, as_json=as_json, user=user)

    page = session.run(
        lambda sherwood: gathered(
            lambda wanted, cursor: sherwood.orders(
                status=status, symbol=symbol, limit=wanted, cursor=cursor
            ),
            limit,
        )
    )
    if as_json:
        session.show_json(page)
        return
    if not page.items:
        session.note("no orders")
        return
    show_table(session.out, ORDER_COLUMNS, map(order_row, page.items))
    note_rest(session, page, limit)


app.command()(events)


@app.command()
def portfolio(
    context: typer.Context,
    as_of: Annotated[
        int | None,
        typer.Option("--as-of", metavar="SEQ", min=0, help="As it was after this order event."),
    ] = None,
    user: UserOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show cash, what open orders hold of it, and positions."""
    session = _session(context, as_json=as_json, user=user)
    answer = session.run(lambda sherwood: sherwood.portfolio(as_of_seq=as_of))
    if as_json:
        session.show_json(answer)
    else:
        show_portfolio(session.out, answer)


@app.command()
def symbols(
    context: typer.Context,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SYMBOL]...", parser=parse_symbol, help="These only; all without."),
    ] = None,
    user: UserOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the symbols that can be traded, with their newest prices."""
    session = _session(context, as_json=as_json, user=user)

    async def list_symbols(sherwood: Sherwood) -> SymbolPage:
        if names:
            return SymbolPage(items=tuple([await sherwood.symbol(name) for name in names]))
        return await gathered(lambda _, cursor: sherwood.symbols(cursor=cursor))

    page = session.run(list_symbols)
    if as_json:
        session.show_json(page)
    else:
        show_symbols(session.out, page.items)


@app.command()
def watch(
    context: typer.Context,
    names: Annotated[list[str], typer.Argument(metavar="SYMBOL...", parser=parse_symbol)],
    count: Annotated[
        int | None, typer.Option("--count", min=1, help="End after this many prices.")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option("--seconds", min=0, help="End after this time.")
    ] = None,
    user: UserOption = None,
    as_json: JsonOption = False,
) -> None:
    """Watch live prices: a table at a terminal, a line a price elsewhere; Ctrl-C ends it.

    A lost connection comes back by itself. With --count and --seconds, exit code 7 says that the
    prices did not come in that time.
    """
    session = _session(context, as_json=as_json, user=user)
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

    try:
        came = session.run(follow)
    except KeyboardInterrupt:
        raise typer.Exit(ExitCode.OK) from None  # the ordinary way to stop watching
    raise typer.Exit(ExitCode.OK if came else ExitCode.UNAVAILABLE)


def main() -> None:
    """Run the command; the entry point."""
    app()


if __name__ == "__main__":
    main()
