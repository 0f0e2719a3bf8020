"""`sherwood ops`: what operators do. A development user is asked for the operator's scope."""

from typing import Annotated

import typer

from client.acts import Act
from client.command.options import JsonOption, UserOption
from client.command.paging import gathered
from client.command.render import NOTHING, Cell, Column, count, moment, show_line, show_table
from client.command.session import Session, Wiring
from client.operations import Account, AccountState

app = typer.Typer(
    name="ops",
    help="For operators: where an order is and what to do, what is at risk, the kill switch, "
    "limits, accounts, and who changed what. Every change needs a --reason, which is kept with it.",
    epilog="Needs a token with the operator's scope: `sherwood token NAME --operator`, or --user "
    "NAME at a server in development.",
    no_args_is_help=True,
)

AboutOption = Annotated[
    str | None,
    typer.Option("--subject", metavar="NAME", help="Only what is about this user or symbol."),
]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; kept with the change.")]
NameArgument = Annotated[str, typer.Argument(metavar="LIMIT", help="Such as order-shares.")]
AccountArgument = Annotated[str, typer.Argument(metavar="ACCOUNT", help="The user's name.")]


def operator_session(context: typer.Context, *, as_json: bool, user: str | None) -> Session:
    """The session of an operator's command."""
    wiring = context.ensure_object(Wiring)
    return Session(wiring, as_json=as_json, user=user, scope="operator")


@app.command()
def limits(
    context: typer.Context,
    subject: AboutOption = None,
    user: UserOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the limits: everybody's, and those of single users and symbols, which win."""
    session = operator_session(context, as_json=as_json, user=user)

    page = session.run(
        lambda sherwood: gathered(
            lambda _, cursor: sherwood.ops.limits(subject=subject, cursor=cursor)
        )
    )
    if as_json:
        session.show_json(page)
        return
    show_table(
        session.out,
        (Column("Limit"), Column("Of"), Column("Value", is_number=True)),
        [[one.name, one.subject or "everybody", count(one.value)] for one in page.items],
    )


@app.command("set-limit")
def set_limit(
    context: typer.Context,
    name: NameArgument,
    value: Annotated[int, typer.Argument(metavar="VALUE", min=0)],
    reason: ReasonOption,
    subject: Annotated[
        str | None,
        typer.Option("--subject", metavar="NAME", help="For this user or symbol alone."),
    ] = None,
    user: UserOption = None,
    as_json: JsonOption = False,
) -> None:
    """Set LIMIT for everybody, or for one user or symbol."""
    session = operator_session(context, as_json=as_json, user=user)
    limit = session.run(
        lambda sherwood: sherwood.ops.set_limit(name, value, reason=reason, subject=subject)
    )
    if as_json:
        session.show_json(limit)
    else:
        whose = limit.subject or "everybody"
        show_line(session.out, f"{limit.name} of {whose}: {count(limit.value)}")


@app.command("drop-limit")
def drop_limit(
    context: typer.Context,
    name: NameArgument,
    subject: Annotated[str, typer.Argument(metavar="NAME", help="The user or symbol.")],
    reason: ReasonOption,
    user: UserOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let everybody's LIMIT count for one user or symbol again."""
    session = operator_session(context, as_json=as_json, user=user)
    session.run(lambda sherwood: sherwood.ops.drop_limit(name, subject, reason=reason))
    session.note(f"everybody's {name} counts for {subject} again")


@app.command()
def account(
    context: typer.Context,
    name: AccountArgument,
    user: UserOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what an account may do."""
    session = operator_session(context, as_json=as_json, user=user)
    _show_account(session, session.run(lambda sherwood: sherwood.ops.account(name)))


@app.command("set-account")
def set_account(
    context: typer.Context,
    name: AccountArgument,
    state: Annotated[AccountState, typer.Argument(metavar="STATE", help="What it may do.")],
    reason: ReasonOption,
    user: UserOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what an account may do from its next order on; open orders stay."""
    session = operator_session(context, as_json=as_json, user=user)
    changed = session.run(
        lambda sherwood: sherwood.ops.set_account_state(name, state, reason=reason)
    )
    _show_account(session, changed)


def _show_account(session: Session, account: Account) -> None:
    if session.as_json:
        session.show_json(account)
    else:
        opened = moment(account.opened_at)
        show_line(session.out, f"{account.user_id}: {account.state}, opened {opened} UTC")


@app.command()
def acts(
    context: typer.Context,
    subject: AboutOption = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="The most to list.")] = 50,
    user: UserOption = None,
    as_json: JsonOption = False,
) -> None:
    """List what operators changed, newest first: who, when, what, from what to what, why."""
    session = operator_session(context, as_json=as_json, user=user)

    page = session.run(
        lambda sherwood: gathered(
            lambda wanted, cursor: sherwood.ops.acts(subject=subject, limit=wanted, cursor=cursor),
            limit,
        )
    )
    if as_json:
        session.show_json(page)
        return
    show_table(
        session.out,
        (
            Column("When (UTC)"),
            Column("Operator"),
            Column("From", is_optional=True),
            Column("What"),
            Column("Of"),
            Column("Before"),
            Column("After"),
            Column("Why"),
        ),
        map(_act_row, page.items),
    )


def _act_row(act: Act) -> list[Cell]:
    return [
        moment(act.at),
        act.operator,
        act.address,
        act.act,
        act.subject or "everybody",
        NOTHING if act.before is None else str(act.before),
        NOTHING if act.after is None else str(act.after),
        act.reason,
    ]
