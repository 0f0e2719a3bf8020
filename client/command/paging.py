"""Lists that the server gives in pages, as commands show them."""

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from msgspec import structs

from client.acts import ActPage
from client.dead_letters import DeadLetterPage
from client.means import HoldPage
from client.models import BarPage, ExecutionPage, OrderPage, SymbolPage
from client.operations import ErrorAccount, LimitPage
from client.order_trail import OwnEventPage, Timeline
from client.reconciliation import ReconciliationReport

PAGE_MAX: Final = 200
"""The most that the server gives in one page."""

Page = TypeVar(
    "Page",
    ActPage,
    BarPage,
    DeadLetterPage,
    ErrorAccount,
    ExecutionPage,
    HoldPage,
    LimitPage,
    OrderPage,
    OwnEventPage,
    ReconciliationReport,
    SymbolPage,
    Timeline,
)


async def gathered(
    ask: Callable[[int, str | None], Awaitable[Page]], limit: int | None = None
) -> Page:
    """At most `limit` items, or all, as one page; what it says beside them is the last page's.

    `ask` is given how many items are wanted of the next page, and its cursor.
    """
    found: list[Any] = []
    cursor: str | None = None
    while True:
        wanted = PAGE_MAX if limit is None else min(limit - len(found), PAGE_MAX)
        page = await ask(wanted, cursor)
        found += page.items
        cursor = page.next_cursor
        if cursor is None or (limit is not None and len(found) >= limit):
            return structs.replace(page, items=tuple(found[:limit]))


def note_rest(note: Callable[[str], None], page: Page, limit: int) -> None:
    """Say how to see what `limit` left out, if it left out anything."""
    if page.next_cursor is not None:
        note(f"there are more; --limit {limit * 2} shows them")
