"""Commands that ask what is the matter: with an order, with the market."""

from typing import Annotated
from uuid import UUID

import typer

from client._options import JsonOption, UserOption
from client._session import Session, Wiring
from client.render import show_clock, show_why


def clock(context: typer.Context, user: UserOption = None, as_json: JsonOption = False) -> None:
    """Say whether the market is open, what is halted, and when the regular session is."""
    session = Session(context.ensure_object(Wiring), as_json=as_json, user=user)
    answer = session.run(lambda sherwood: sherwood.clock())
    if as_json:
        session.show_json(answer)
    else:
        show_clock(session.out, answer)


def why(
    context: typer.Context,
    order_id: Annotated[UUID, typer.Argument(metavar="ORDER", help="The order's id.")],
    user: UserOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say why ORDER has not filled: what it waits for, and what traded since it was sent."""
    session = Session(context.ensure_object(Wiring), as_json=as_json, user=user)
    answer = session.run(lambda sherwood: sherwood.why(order_id))
    if as_json:
        session.show_json(answer)
    else:
        show_why(session.out, answer)
