"""Commands that ask why: the market's clock."""

import typer

from client._options import JsonOption, UserOption
from client._session import Session, Wiring
from client.render import show_clock


def clock(context: typer.Context, user: UserOption = None, as_json: JsonOption = False) -> None:
    """Say whether the market is open, what is halted, and when the regular session is."""
    session = Session(context.ensure_object(Wiring), as_json=as_json, user=user)
    answer = session.run(lambda sherwood: sherwood.clock())
    if as_json:
        session.show_json(answer)
    else:
        show_clock(session.out, answer)
