"""`python -m exchange`: serve, or replay a journal."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.console import Console

from exchange.journal import Journal, JournalError, encode_outcome
from exchange.opening import replay as replay_journal
from exchange.server import run
from exchange.settings import Settings

app = typer.Typer(add_completion=False, help="The simulated exchange.", no_args_is_help=False)
_errors = Console(stderr=True)


def _settings(**given: Any) -> Settings:
    """Return the settings; what was given on the command line wins over the environment."""
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        for problem in error.errors():
            _errors.print(f"[red]{'.'.join(map(str, problem['loc']))}[/]: {problem['msg']}")
        raise typer.Exit(2) from error


@app.callback(invoke_without_command=True)
def serve(
    context: typer.Context,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on (8100).")] = None,
    journal: Annotated[Path | None, typer.Option(help="The journal, a SQLite file.")] = None,
    speed: Annotated[str | None, typer.Option(help="20, any factor, or max.")] = None,
    days: Annotated[int | None, typer.Option(help="Stand still after so many; for ever.")] = None,
    symbols: Annotated[int | None, typer.Option(help="How many; made-up ones are added.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of the random walk.")] = None,
    tape: Annotated[Path | None, typer.Option(help="Recorded trades to play.")] = None,
    sessions: Annotated[
        bool | None, typer.Option("--sessions/--around-the-clock", help="Open 09:30-16:00 only.")
    ] = None,
    control: Annotated[
        bool | None, typer.Option("--control/--no-control", help="The control panel.")
    ] = None,
) -> None:
    """Run the exchange. Every option can also be set as EXCHANGE_... in the environment."""
    if context.invoked_subcommand is not None:
        return
    settings = _settings(
        host=host,
        port=port,
        journal=journal,
        speed=speed,
        days=days,
        symbols=symbols,
        seed=seed,
        tape=tape,
        sessions=sessions,
        control=control,
    )
    try:
        code = run(settings)
    except (JournalError, ValueError, OSError) as error:
        _errors.print(f"[red]The exchange cannot start:[/] {error}")
        raise typer.Exit(1) from error
    raise typer.Exit(code)


@app.command()
def replay(
    journal: Annotated[Path, typer.Argument(exists=True, dir_okay=False)],
    tape: Annotated[Path | None, typer.Option(help="The tape it was begun with.")] = None,
    recorded: Annotated[bool, typer.Option(help="Print what was recorded instead.")] = False,
    check: Annotated[bool, typer.Option(help="Print nothing, compare the two.")] = False,
) -> None:
    """Print the outcome of every input of a journal, one JSON object a line, computed anew."""
    opened = Journal(journal, read_only=True)
    try:
        if recorded:
            for _, line in opened.entries():
                sys.stdout.buffer.write(line + b"\n")
            return
        count = differing = 0
        for outcome, line in replay_journal(_settings(tape=tape), opened):
            encoded = encode_outcome(outcome)
            count += 1
            differing += encoded != line
            if not check:
                sys.stdout.buffer.write(encoded + b"\n")
        _errors.print(f"{count} inputs, {differing} differ from what was recorded")
        if differing:
            raise typer.Exit(1)
    except JournalError as error:
        _errors.print(f"[red]{error}[/]")
        raise typer.Exit(1) from error
    finally:
        opened.close()


if __name__ == "__main__":
    app()
