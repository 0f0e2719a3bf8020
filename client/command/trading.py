"""The commands that place and cancel."""

from typing import Annotated
from uuid import UUID, uuid4

import typer

from client.command.cancelling import cancel_everything, exit_code_of_all
from client.command.exit_codes import ExitCode, exit_code_of_cancelled, exit_code_of_placed
from client.command.options import (
    JsonOption,
    KeyOption,
    LimitOption,
    OptionalOrderArgument,
    SharesArgument,
    SimulateOption,
    SymbolArgument,
    SymbolOption,
    TifOption,
    UserOption,
    WaitOption,
)
from client.command.render import ORDER_COLUMNS, order_line, order_row, show_table
from client.command.session import Session, session_of
from client.errors import OutcomeUnknown, SherwoodError
from client.models import Order, Position, TimeInForce
from client.sherwood import Sherwood


def buy(
    context: typer.Context,
    symbol: SymbolArgument,
    shares: SharesArgument,
    limit: LimitOption = None,
    tif: TifOption = None,
    key: KeyOption = None,
    wait: WaitOption = None,
    simulate: SimulateOption = None,
    user: UserOption = None,
    as_json: JsonOption = False,
) -> None:
    """Buy SHARES of SYMBOL."""
    session = session_of(context, as_json=as_json, user=user)
    _place(session, "buy", symbol, shares, limit, tif, key, wait, simulate)


def sell(
    context: typer.Context,
    symbol: SymbolArgument,
    shares: SharesArgument,
    limit: LimitOption = None,
    tif: TifOption = None,
    key: KeyOption = None,
    wait: WaitOption = None,
    simulate: SimulateOption = None,
    user: UserOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sell SHARES of SYMBOL."""
    session = session_of(context, as_json=as_json, user=user)
    _place(session, "sell", symbol, shares, limit, tif, key, wait, simulate)


def _place(
    session: Session,
    position: Position,
    symbol: str,
    shares: int,
    limit_cents: int | None,
    tif: TimeInForce | None,
    key: UUID | None,
    wait_seconds: float | None,
    simulate: str | None,
) -> None:
    key = key or uuid4()  # made here, so that it can be told even if the command is interrupted

    async def place(sherwood: Sherwood) -> tuple[Order, bool]:
        placement = await sherwood.place(
            position,
            symbol,
            shares,
            price_cents=limit_cents,
            time_in_force=tif,
            key=key,
            simulate=simulate,
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


def cancel(
    context: typer.Context,
    order_id: OptionalOrderArgument = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Everything that is open, instead of one order.")
    ] = False,
    symbol: SymbolOption = None,
    wait: WaitOption = None,
    user: UserOption = None,
    as_json: JsonOption = False,
) -> None:
    """Cancel what is unfilled of ORDER, or of all orders; may be repeated."""
    if everything == (order_id is not None):
        raise typer.BadParameter("name one ORDER, or say --all")
    if symbol is not None and not everything:
        raise typer.BadParameter("--symbol goes with --all")
    session = session_of(context, as_json=as_json, user=user)
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
