"""`sherwood ops`: what operators do. A development user is asked for the operator's scope."""

from typing import Annotated

import typer

from client._options import JsonOption, UserOption
from client._session import Session, Wiring
from client.operations import Limit, LimitPage
from client.render import Column, count, show_table
from client.sherwood import Sherwood

app = typer.Typer(
    name="ops",
    help="For operators: limits, accounts, and who changed what.",
    no_args_is_help=True,
)

SubjectOption = Annotated[
    str | None,
    typer.Option("--subject", metavar="NAME", help="Only this user's or symbol's own."),
]


def operator_session(context: typer.Context, *, as_json: bool, user: str | None) -> Session:
    """The session of an operator's command."""
    wiring = context.ensure_object(Wiring)
    return Session(wiring, as_json=as_json, user=user, scope="operator")


@app.command()
def limits(
    context: typer.Context,
    subject: SubjectOption = None,
    user: UserOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the limits: everybody's, and those of single users and symbols, which win."""
    session = operator_session(context, as_json=as_json, user=user)

    async def list_limits(sherwood: Sherwood) -> LimitPage:
        found: list[Limit] = []
        cursor: str | None = None
        while True:
            page = await sherwood.ops.limits(subject=subject, cursor=cursor)
            found += page.items
            cursor = page.next_cursor
            if cursor is None:
                return LimitPage(items=tuple(found))

    page = session.run(list_limits)
    if as_json:
        session.show_json(page)
        return
    show_table(
        session.out,
        (Column("Limit"), Column("Of"), Column("Value", is_number=True)),
        [[one.name, one.subject or "everybody", count(one.value)] for one in page.items],
    )
