"""The operators' commands about dead letters: `sherwood ops dead-letters`."""

from typing import Annotated, Final

import typer

from client.command.ops.app import ReasonOption, operator_session
from client.command.options import JsonOption, UserOption
from client.command.paging import gathered, note_rest
from client.command.render import NOTHING, Cell, Column, moment, show_line, show_table
from client.dead_letters import DeadLetter
from client.sherwood import Sherwood

app = typer.Typer(
    name="dead-letters",
    help="Reports of the exchange that belong to no order of ours.",
    invoke_without_command=True,
)

LETTERS: Final = (
    Column("Letter", is_number=True),
    Column("Buried (UTC)"),
    Column("Order there"),
    Column("Why"),
    Column("Report"),
    Column("Payload", is_optional=True),
)
LetterArgument = Annotated[int, typer.Argument(metavar="LETTER", min=1)]


@app.callback()
def dead_letters(
    context: typer.Context,
    limit: Annotated[int, typer.Option("--limit", min=1, help="The most to list.")] = 50,
    user: UserOption = None,
    as_json: JsonOption = False,
) -> None:
    """List them, oldest first, with why they were buried."""
    if context.invoked_subcommand is not None:
        return
    session = operator_session(context, as_json=as_json, user=user)
    page = session.run(
        lambda sherwood: gathered(
            lambda wanted, cursor: sherwood.ops.dead_letters.list(limit=wanted, cursor=cursor),
            limit,
        )
    )
    if as_json:
        session.show_json(page)
    elif not page.items:
        session.note("no dead letters")
    else:
        show_table(session.out, LETTERS, map(_row, page.items))
        note_rest(session.note, page, limit)


@app.command()
def explain(
    context: typer.Context,
    letter: LetterArgument,
    user: UserOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what the exchange knows of its order now, what we know, and what to do."""
    session = operator_session(context, as_json=as_json, user=user)
    explained = session.run(lambda sherwood: sherwood.ops.dead_letters.explain(letter))
    if as_json:
        session.show_json(explained)
        return
    show_table(session.out, LETTERS, [_row(explained.letter)])
    show_line(session.out, f"{explained.verdict}: {explained.explanation}")
    if explained.order_id is not None:
        show_line(session.out, f"order {explained.order_id} of {explained.user_id}")


@app.command()
def replay(
    context: typer.Context,
    reason: ReasonOption,
    letter: Annotated[int | None, typer.Argument(metavar="LETTER", min=1)] = None,
    everything: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    user: UserOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send LETTER, or all, again: what is ours is booked, once; the rest comes back."""
    if everything == (letter is not None):
        raise typer.BadParameter("name one LETTER, or --all", ctx=context)
    session = operator_session(context, as_json=as_json, user=user)
    replayed = session.run(lambda sherwood: _replay(sherwood, letter, reason))
    if as_json:
        session.show_json({"replayed": replayed})
    session.note(f"{replayed} sent again; look with `sherwood ops dead-letters` in a minute")


@app.command()
def discard(
    context: typer.Context,
    letter: LetterArgument,
    reason: ReasonOption,
    user: UserOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take LETTER away, which will never be ours; what it said is kept with the act."""
    session = operator_session(context, as_json=as_json, user=user)
    session.run(lambda sherwood: sherwood.ops.dead_letters.discard(letter, reason=reason))
    session.note(f"letter {letter} is discarded")


async def _replay(sherwood: Sherwood, letter: int | None, reason: str) -> int:
    """Send one again, or as many as there are now: what comes back meanwhile is newer."""
    letters = sherwood.ops.dead_letters
    if letter is not None:
        return (await letters.replay(letter, reason=reason)).replayed
    waiting, replayed, more = (await letters.list(limit=1)).waiting, 0, True
    while more and replayed < waiting:
        sent = await letters.replay(reason=reason)
        replayed, more = replayed + sent.replayed, sent.more
    return replayed


def _row(letter: DeadLetter) -> list[Cell]:
    payload = letter.payload
    report = payload.get("report_id", NOTHING) if isinstance(payload, dict) else NOTHING
    return [
        str(letter.id),
        moment(letter.buried_at),
        letter.external_order_id,
        letter.why,
        str(report),
        str(payload),
    ]
