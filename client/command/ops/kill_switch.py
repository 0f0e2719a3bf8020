"""The operators' commands of the kill switch."""

from typing import Annotated, Final

import typer

from client.command.ops.app import ReasonOption, operator_session
from client.command.options import JsonOption, UserOption, parse_symbol
from client.command.render import Column, moment, show_line, show_table
from client.command.session import Session
from client.kill_switch import KillSwitch

LEVELS: Final = ("released", "no new orders", "all cancelled", "executions wait")
ABSENT: Final = "absent: no order is taken until `sherwood ops release` sets everybody's level"
UNREADABLE: Final = "this node cannot read it and takes no order"

OfUserOption = Annotated[
    str | None, typer.Option("--of-user", metavar="NAME", help="For this user alone.")
]
OfSymbolOption = Annotated[
    str | None,
    typer.Option("--symbol", metavar="SYMBOL", parser=parse_symbol, help="For this symbol alone."),
]


def kill_switch(
    context: typer.Context, user: UserOption = None, as_json: JsonOption = False
) -> None:
    """Show the kill switch: for whom what is stopped, and who set it last."""
    session = operator_session(context, as_json=as_json, user=user)
    _show(session, session.run(lambda sherwood: sherwood.ops.kill_switch.read()))


def kill(
    context: typer.Context,
    reason: ReasonOption,
    level: Annotated[
        int,
        typer.Option(
            "--level",
            min=1,
            max=len(LEVELS) - 1,
            help="1 no new orders; 2 and cancel all open ones; 3 and hold executions back.",
        ),
    ] = 1,
    of_user: OfUserOption = None,
    symbol: OfSymbolOption = None,
    user: UserOption = None,
    as_json: JsonOption = False,
) -> None:
    """Stop new orders at once: of everybody, or of one user or symbol. Cancels pass."""
    session = operator_session(context, as_json=as_json, user=user)
    _set(session, level, reason, of_user, symbol)


def release(
    context: typer.Context,
    reason: ReasonOption,
    of_user: OfUserOption = None,
    symbol: OfSymbolOption = None,
    user: UserOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let new orders pass again; what others are switched to stays."""
    session = operator_session(context, as_json=as_json, user=user)
    _set(session, 0, reason, of_user, symbol)


def _set(
    session: Session, level: int, reason: str, of_user: str | None, symbol: str | None
) -> None:
    if of_user is not None and symbol is not None:
        raise typer.BadParameter("name a user or a symbol, not both")
    _show(
        session,
        session.run(
            lambda sherwood: sherwood.ops.kill_switch.set(
                level, reason=reason, user=of_user, symbol=symbol
            )
        ),
    )


def _show(session: Session, switch: KillSwitch) -> None:
    if session.as_json:
        session.show_json(switch)
        return
    if switch.level is None:
        show_line(session.out, ABSENT if switch.absent else UNREADABLE)
        return
    of_whom = {"everybody": switch.level, **switch.users, **switch.symbols}
    show_table(
        session.out,
        (Column("Of"), Column("Level", is_number=True), Column("What")),
        [[name, str(level), LEVELS[level]] for name, level in of_whom.items()],
    )
    act = switch.last_act
    if act is not None:
        session.note(f"set by {act.operator}, {moment(act.at)} UTC: {act.reason}")
