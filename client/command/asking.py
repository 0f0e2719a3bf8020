"""Commands that ask what is the matter: with an order, with the market."""

import typer

from client.command.options import JsonOption, OrderArgument, UserOption
from client.command.render import show_clock, show_why
from client.command.session import session_of


def clock(context: typer.Context, user: UserOption = None, as_json: JsonOption = False) -> None:
    """Say whether the market is open, what is halted, and when the regular session is."""
    session = session_of(context, as_json=as_json, user=user)
    answer = session.run(lambda sherwood: sherwood.clock())
    if as_json:
        session.show_json(answer)
    else:
        show_clock(session.out, answer)


def why(
    context: typer.Context,
    order_id: OrderArgument,
    user: UserOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say why ORDER has not filled: what it waits for, and what traded since it was sent."""
    session = session_of(context, as_json=as_json, user=user)
    answer = session.run(lambda sherwood: sherwood.why(order_id))
    if as_json:
        session.show_json(answer)
    else:
        show_why(session.out, answer)
