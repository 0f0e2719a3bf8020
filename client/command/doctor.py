"""The command that looks for what is wrong, and says how to mend it."""

from datetime import UTC, datetime
from typing import Final

import typer
from rich.console import Console
from rich.text import Text

from client.command.diagnosis import examine
from client.command.exit_codes import ExitCode
from client.command.ops.app import operator_session
from client.command.options import JsonOption, UserOption
from client.command.render import show_line
from client.findings import Diagnosis, Finding
from client.retry import RetryPolicy

_STYLES: Final = {"ok": "green", "wrong": "bold red"}


def doctor(context: typer.Context, user: UserOption = None, as_json: JsonOption = False) -> None:
    """Look for what is wrong with the servers, their settings and clocks, and say how to mend it.

    What lies behind the API is told to operators only. Exit code 1 if anything is wrong.
    """
    session = operator_session(context, as_json=as_json, user=user)
    items = session.run(
        lambda sherwood: examine(sherwood, session.base_url, lambda: datetime.now(UTC)),
        needs_user=False,
        policy=RetryPolicy(attempts_max=1),
    )
    wrong = sum(one.verdict == "wrong" for one in items)
    if as_json:
        session.show_json(Diagnosis(at=datetime.now(UTC), ok=not wrong, items=items))
    else:
        width = max(len(one.check) for one in items)
        for one in items:
            _show(session.out, one, width)
        session.note(f"{wrong} of {len(items)} are wrong" if wrong else "nothing is wrong")
    raise typer.Exit(ExitCode.UNEXPECTED if wrong else ExitCode.OK)


def _show(console: Console, one: Finding, width: int) -> None:
    console.print(
        Text(f"{one.verdict:<7}  ", style=_STYLES.get(one.verdict, "yellow"))
        + Text(f"{one.check:<{width}}  {one.found}"),
        soft_wrap=True,
    )
    if one.mend:
        show_line(console, f"{'':<{width + 9}}  {one.mend}")
