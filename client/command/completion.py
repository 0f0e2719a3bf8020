"""What the shell completes: symbols, and the caller's open orders.

The shell waits for it at every press of the key, so it is asked for once and only for a moment; a
server that is slow, away, or does not know the caller completes nothing and says nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, TypeVar

import typer
from pydantic import ValidationError

from client.command.paging import gathered
from client.command.render import order_line
from client.command.session import Wiring, auth_of
from client.command.settings import ClientSettings
from client.errors import SherwoodError
from client.retry import RetryPolicy
from client.sherwood import Sherwood

Found = TypeVar("Found")

DEADLINE_SECONDS: Final = 0.7
ORDERS_MAX: Final = 50


def complete_symbol(context: typer.Context, incomplete: str) -> Iterable[tuple[str, str]]:
    """Symbols with the companies' names, in small letters after small ones; the shell keeps those
    that begin as typed.
    """

    async def ask(sherwood: Sherwood) -> list[tuple[str, str]]:
        page = await gathered(lambda _, cursor: sherwood.symbols(cursor=cursor))
        return [(listed.symbol, listed.name or "") for listed in page.items]

    found = _asked(context, ask)
    if incomplete.islower():  # the shell takes nothing that goes on otherwise than it began
        found = [(symbol.lower(), name) for symbol, name in found]
    return found


def complete_open_order(context: typer.Context) -> Iterable[tuple[str, str]]:
    """Ids of open orders, each with what it is; the shell keeps those that begin as typed."""

    async def ask(sherwood: Sherwood) -> list[tuple[str, str]]:
        page = await sherwood.orders(status="open", limit=ORDERS_MAX)
        return [(str(order.id), order_line(order).plain) for order in page.items]

    return _asked(context, ask)


def _asked(
    context: typer.Context, ask: Callable[[Sherwood], Awaitable[list[Found]]]
) -> list[Found]:
    """What `ask` finds in time, or nothing."""
    wiring = context.find_root().obj or Wiring()

    async def in_time() -> list[Found]:
        async with (
            asyncio.timeout(DEADLINE_SECONDS),
            Sherwood(
                settings.base_url,
                auth=auth_of(settings, context.params.get("user")),
                policy=RetryPolicy(attempts_max=1),
                http_transport=wiring.http_transport,
            ) as sherwood,
        ):
            return await ask(sherwood)

    try:
        settings = ClientSettings()
        return asyncio.run(in_time())
    except (SherwoodError, TimeoutError, ValidationError):
        return []
