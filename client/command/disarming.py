"""The command that arms, disarms and shows the dead-man switch."""

from typing import Annotated

import typer

from client.command.options import JsonOption, UserOption
from client.command.render import moment, show_line
from client.command.session import session_of


def cancel_after(
    context: typer.Context,
    seconds: Annotated[
        int | None,
        typer.Argument(
            metavar="SECONDS", min=0, help="From 5 to 86400; 0 disarms. Without: show it."
        ),
    ] = None,
    user: UserOption = None,
    as_json: JsonOption = False,
) -> None:
    """Have all open orders cancelled in SECONDS, unless this is called again before."""
    session = session_of(context, as_json=as_json, user=user)
    switch = session.run(
        lambda sherwood: (
            sherwood.read_cancel_after() if seconds is None else sherwood.cancel_after(seconds)
        )
    )
    if as_json:
        session.show_json(switch)
        return
    if switch.cancels_at is None:
        show_line(session.out, "not armed")
    else:
        at = moment(switch.cancels_at)
        show_line(session.out, f"all open orders are cancelled at {at} UTC unless armed anew")
    if switch.went_off_at is not None:
        session.note(f"it went off at {moment(switch.went_off_at)} UTC")
