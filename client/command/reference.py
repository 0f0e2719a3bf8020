"""docs/command-reference.md: the help of every command, as one page."""

from typing import Final

from typer import Context
from typer.cli import get_docs_for_click
from typer.main import get_command

from client.command.cli import app

NOTE: Final = (
    "Written by `make pages` from what `--help` says. What the commands are for: "
    "[the command](command.md)."
)


def page() -> str:
    """The page, as text."""
    command = get_command(app)
    context = Context(command, info_name="sherwood")
    title, _, rest = get_docs_for_click(
        obj=command, ctx=context, name="sherwood", title="`sherwood`: every command"
    ).partition("\n")
    return f"{title}\n\n{NOTE}\n{rest}".rstrip() + "\n"
