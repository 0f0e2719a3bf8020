"""The commands about one's account: a token for it, what is in it, what it was worth."""

from typing import Annotated

import typer

from client.command.money import format_change
from client.command.options import JsonOption, TableOption, UserOption
from client.command.plots import show_curve
from client.command.render import (
    NOTHING,
    Column,
    dollars,
    moment,
    show_amounts,
    show_line,
    show_portfolio,
    show_table,
)
from client.command.session import session_of
from client.models import PortfolioHistory, Window


def token(
    context: typer.Context,
    user: Annotated[str, typer.Argument(metavar="USER")],
    operator: Annotated[
        bool, typer.Option("--operator", help="With the operator's scope.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Print a token for USER, and nothing else; for servers in development."""
    session = session_of(context, as_json=as_json)
    answer = session.run(
        lambda sherwood: sherwood.development_token(user, scope="operator" if operator else None),
        needs_user=False,
    )
    if as_json:
        session.show_json(answer)
    else:
        show_line(session.out, answer.token)


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
    session = session_of(context, as_json=as_json, user=user)
    answer = session.run(lambda sherwood: sherwood.portfolio(as_of_seq=as_of))
    if as_json:
        session.show_json(answer)
    else:
        show_portfolio(session.out, answer)


def portfolio_history(
    context: typer.Context,
    window: Annotated[Window, typer.Option("--window", help="How far back to look.")] = "1d",
    as_table: TableOption = False,
    user: UserOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what your account was worth: a curve at a terminal, a table elsewhere."""
    session = session_of(context, as_json=as_json, user=user)
    history = session.run(lambda sherwood: sherwood.portfolio_history(window))
    if as_json:
        session.show_json(history)
        return
    priced = [(one.at, one.value_cents) for one in history.points if one.value_cents is not None]
    if session.out.is_terminal and priced and not as_table:
        at, values_cents = zip(*priced, strict=True)
        show_curve(session.out, f"value, {window} by {history.step} (UTC)", at, values_cents)
    else:
        columns = ("Value", "Cash", "Profit")
        show_table(
            session.out,
            (Column("At (UTC)"), *(Column(name, is_number=True) for name in columns)),
            [
                (
                    moment(point.at),
                    dollars(point.value_cents),
                    dollars(point.cash_cents),
                    _change(point.profit_cents),
                )
                for point in history.points
            ],
        )
    for line in _doubts(history):
        session.note(line)
    show_line(session.out, "")
    show_amounts(
        session.out,
        [
            ("value before", dollars(history.base_value_cents)),
            ("value now", dollars(history.points[-1].value_cents)),
            ("profit since", _change(history.window_profit_cents)),
        ],
    )


def _change(amount_cents: int | None) -> str:
    return NOTHING if amount_cents is None else format_change(amount_cents)


def _doubts(history: PortfolioHistory) -> list[str]:
    unpriced = sorted({symbol for point in history.points for symbol in point.unpriced})
    doubts = []
    if unpriced:
        doubts.append(f"no value while there was no price of {', '.join(unpriced)}")
    if history.uncosted:
        doubts.append(f"no profit: nobody knows what {', '.join(history.uncosted)} cost")
    return doubts
