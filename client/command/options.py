"""Arguments and options that several commands share."""

from typing import Annotated, Final, Literal
from uuid import UUID

import typer

from client.command.completion import complete_open_order, complete_symbol
from client.command.money import parse_dollars


def _price_cents(text: str) -> int:
    try:
        return parse_dollars(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def parse_symbol(text: str) -> str:
    """Return a symbol as the directory writes it."""
    return text.strip().upper()


UserOption = Annotated[
    str | None,
    typer.Option("--user", metavar="NAME", help="Act as this user of a server in development."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Write JSON, for scripts.")]
SymbolArgument = Annotated[
    str,
    typer.Argument(metavar="SYMBOL", parser=parse_symbol, autocompletion=complete_symbol),
]
SymbolOption = Annotated[
    str | None,
    typer.Option(
        "--symbol",
        metavar="SYMBOL",
        parser=parse_symbol,
        autocompletion=complete_symbol,
        help="Of SYMBOL only.",
    ),
]
SharesArgument = Annotated[int, typer.Argument(metavar="SHARES", min=1, help="Whole shares.")]
LimitOption = Annotated[
    int | None,
    typer.Option(
        "--limit",
        metavar="PRICE",
        parser=_price_cents,
        help="Limit in dollars, such as 522.10; a market order without.",
    ),
]
TifOption = Annotated[
    Literal["day", "gtc", "ioc"] | None,
    typer.Option("--tif", help="How long the order stands; day without."),
]
KeyOption = Annotated[
    UUID | None,
    typer.Option("--key", help="Idempotency key: the same key is the same order, for ever."),
]
SimulateOption = Annotated[
    str | None,
    typer.Option(
        "--simulate",
        metavar="NAME",
        help="Have the simulated exchange do this to the order: fill, partial, reject, late-fill, "
        "... (servers in development; a wrong name lists them).",
    ),
]
WaitOption = Annotated[
    float | None,
    typer.Option("--wait", metavar="SECONDS", min=0, help="Wait this long for an outcome."),
]
_ORDER: Final = typer.Argument(
    metavar="ORDER", help="The order's id.", autocompletion=complete_open_order
)
OrderArgument = Annotated[UUID, _ORDER]
OptionalOrderArgument = Annotated[UUID | None, _ORDER]
CountOption = Annotated[
    int | None, typer.Option("--count", min=1, help="End after this many changes.")
]
SecondsOption = Annotated[
    float | None, typer.Option("--seconds", min=0, help="End after this time.")
]
TableOption = Annotated[
    bool, typer.Option("--table", help="A table, also where a plot would be drawn.")
]
