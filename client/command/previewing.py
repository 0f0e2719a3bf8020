"""`sherwood preview` and `sherwood holds`: what an order would need, and what open ones hold."""

from typing import Annotated

import typer

from client.command.exit_codes import ExitCode
from client.command.options import (
    JsonOption,
    LimitOption,
    SharesArgument,
    SymbolArgument,
    TifOption,
    UserOption,
)
from client.command.paging import gathered, note_rest
from client.command.render import (
    Column,
    count,
    dollars,
    moment,
    show_amounts,
    show_line,
    show_table,
)
from client.command.session import Session, session_of
from client.means import Preview
from client.models import Position


def preview(
    context: typer.Context,
    position: Annotated[Position, typer.Argument(metavar="buy|sell")],
    symbol: SymbolArgument,
    shares: SharesArgument,
    limit: LimitOption = None,
    tif: TifOption = None,
    user: UserOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what buying or selling would do, without placing anything.

    Exit code 3 says that it would be refused.
    """
    session = session_of(context, as_json=as_json, user=user)
    told = session.run(
        lambda sherwood: sherwood.preview(
            position, symbol, shares, price_cents=limit, time_in_force=tif
        )
    )
    if as_json:
        session.show_json(told)
    else:
        _show_preview(session, position, symbol, told)
    raise typer.Exit(ExitCode.OK if told.accepted else ExitCode.REFUSED)


def _show_preview(session: Session, position: Position, symbol: str, told: Preview) -> None:
    show_line(session.out, "would be taken" if told.accepted else "would be refused")
    for problem in told.problems:
        show_line(session.out, f"  {problem['detail']} ({problem['code']})")
    amounts = [
        ("sent at", dollars(told.sent_price_cents)),
        ("last price", dollars(told.last_price_cents)),
        ("estimated cost" if position == "buy" else "estimated proceeds",
         dollars(told.estimated_notional_cents)),
    ]  # fmt: skip
    if position == "buy":
        amounts += [
            ("would hold", dollars(told.required_cash_cents)),
            ("buying power now", dollars(told.buying_power_cents)),
            ("buying power then", dollars(told.buying_power_after_cents)),
        ]
    else:
        amounts += [
            (f"would hold of {symbol}", count(told.required_shares)),
            ("free shares now", count(told.sellable_shares)),
            ("free shares then", count(told.sellable_shares_after)),
        ]
    show_amounts(session.out, amounts)


def holds(
    context: typer.Context,
    limit: Annotated[int, typer.Option("--limit", min=1, help="The most to list.")] = 50,
    user: UserOption = None,
    as_json: JsonOption = False,
) -> None:
    """List what your open orders hold of your cash and shares, newest first."""
    session = session_of(context, as_json=as_json, user=user)

    page = session.run(
        lambda sherwood: gathered(
            lambda wanted, cursor: sherwood.holds(limit=wanted, cursor=cursor), limit
        )
    )
    if as_json:
        session.show_json(page)
        return
    amounts = [("held cash", dollars(page.held_cash_cents))]
    amounts += [(f"held {one.symbol}", count(one.held_shares)) for one in page.held_shares]
    show_amounts(session.out, amounts)
    if not page.items:
        return
    session.out.print()
    show_table(
        session.out,
        (
            Column("Order"),
            Column("Side"),
            Column("Symbol"),
            Column("Shares", is_number=True),
            Column("Sent at", is_number=True),
            Column("Cash", is_number=True),
            Column("Why"),
            Column("Since (UTC)", is_optional=True),
        ),
        [
            [
                str(hold.order_id),
                hold.position,
                hold.symbol,
                count(hold.shares),
                dollars(hold.sent_price_cents),
                dollars(hold.held_cash_cents),
                hold.why,
                moment(hold.since),
            ]
            for hold in page.items
        ],
    )
    note_rest(session.note, page, limit)
