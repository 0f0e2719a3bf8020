"""Halts and closed markets on a running stack, seen at its ends by the API node."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.support.accounts import Account
from tests.support.eventually import eventually
from tests.support.exchange_member import Member


async def clock_says(alice: Account, **expected: Any) -> None:
    """Return once the node's clock has all of this."""
    seen: dict[str, Any] = {}

    async def so() -> bool:
        seen.update((await alice.http.get("/clock")).json())
        return expected.items() <= seen.items()

    try:
        await eventually(so, f"the clock says {expected}", 60)
    except AssertionError as error:
        raise AssertionError(f"last seen: {seen}") from error


@asynccontextmanager
async def halted(
    exchange: Member, alice: Account, symbol: str, *, beside: str | None = None
) -> AsyncIterator[None]:
    """The symbol is halted for the block, and the node knows of both; `beside`: another is, too."""
    others = [] if beside is None else [beside]
    await exchange.control("halts", symbol=symbol)
    try:
        await clock_says(alice, feed="live", halted=sorted([symbol, *others]))
        yield
    finally:
        await exchange.control("halts", symbol=symbol, halted=False)
        await clock_says(alice, feed="live", halted=others)


@asynccontextmanager
async def closed(exchange: Member, alice: Account) -> AsyncIterator[None]:
    """The market is closed for the block, and the node knows of both."""
    await exchange.control("sessions", sessions="closed")
    try:
        await clock_says(alice, isOpen=False)
        yield
    finally:
        await exchange.control("sessions", sessions="off")
        await clock_says(alice, isOpen=True)
