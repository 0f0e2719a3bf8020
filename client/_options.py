"""Arguments and options that several commands share."""

from typing import Annotated, Literal
from uuid import UUID

import typer

from client.money import parse_dollars


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
SymbolArgument = Annotated[str, typer.Argument(metavar="SYMBOL", parser=parse_symbol)]
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
WaitOption = Annotated[
    float | None,
    typer.Option("--wait", metavar="SECONDS", min=0, help="Wait this long for an outcome."),
]
OrderArgument = Annotated[UUID | None, typer.Argument(metavar="ORDER", help="The order's id.")]
