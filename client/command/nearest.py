"""What somebody may have meant who named a symbol that is not traded."""

import asyncio
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

from client.command.paging import gathered
from client.errors import Problem, SherwoodError
from client.models import ListedSymbol
from client.sherwood import Sherwood

CODES: Final = frozenset({"unknown-symbol", "symbol-not-found"})
NEAREST_MAX: Final = 3
DEADLINE_SECONDS: Final = 2.0
"""The refusal is what was asked for; the advice must not keep it."""


async def nearest_symbols(sherwood: Sherwood, problem: Problem) -> tuple[str, ...]:
    """Symbols like those that `problem` says are unknown; none where it is about something else, or
    the directory does not come in time.
    """
    unknown = problem.extra.get("symbols")
    if problem.code not in CODES or not isinstance(unknown, list):
        return ()
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            page = await gathered(lambda _, cursor: sherwood.symbols(cursor=cursor))
    except (SherwoodError, TimeoutError):
        return ()
    found = (symbol for name in unknown for symbol in nearest(str(name), page.items))
    return tuple(dict.fromkeys(found))[:NEAREST_MAX]


def nearest(name: str, listed: Iterable[ListedSymbol]) -> list[str]:
    """Symbols spelt like `name`, then those of companies that are called so."""
    of_company = {one.symbol: (one.name or "").upper() for one in listed}
    spelt = get_close_matches(name.upper(), of_company, n=NEAREST_MAX, cutoff=0.6)
    called = [symbol for symbol, company in of_company.items() if name.upper() in company]
    return [*spelt, *called]
