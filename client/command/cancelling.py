"""Cancelling everything that is open, in as many requests as it takes."""

import asyncio
from collections.abc import Callable, Iterable
from uuid import UUID

from msgspec.structs import replace

from client.command.exit_codes import ExitCode, exit_code_of_cancelled
from client.models import CancelledOrder
from client.sherwood import Sherwood


async def cancel_everything(
    sherwood: Sherwood,
    symbol: str | None,
    wait_seconds: float | None,
    tell: Callable[[str], None],
) -> list[CancelledOrder]:
    """What became of each order that was open, or of those of `symbol`; raises SherwoodError.

    Repeats while there are more, and stops where a repeat brings none that is new. With
    `wait_seconds`, orders that the exchange has not answered for are waited for together. `tell`
    hears how far it is.
    """
    found: dict[UUID, CancelledOrder] = {}
    while True:
        answer = await sherwood.cancel_all(symbol=symbol)
        new = [item for item in answer.items if item.id not in found]
        found |= {item.id: item for item in answer.items}
        gone = sum(item.ok for item in found.values())
        of = f"{len(found)} or more" if answer.more else f"{len(found)}"
        tell(f"{gone} of {of} cancelled" if found else "nothing is open")
        if not answer.more or not new:
            break
    if wait_seconds is not None:
        await _wait(sherwood, found, wait_seconds)
    return list(found.values())


async def _wait(
    sherwood: Sherwood, found: dict[UUID, CancelledOrder], timeout_seconds: float
) -> None:
    async def wait_for(item: CancelledOrder) -> None:
        order = await sherwood.wait_for_cancel(item.order, timeout_seconds)
        found[item.id] = replace(item, ok=order.status == "cancelled", order=order)

    try:
        async with asyncio.TaskGroup() as waiting:
            for item in found.values():
                if item.status == 202:
                    waiting.create_task(wait_for(item))
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from failures


def exit_code_of_all(items: Iterable[CancelledOrder]) -> ExitCode:
    """The exit code for all of them: that of what most needs doing something about."""
    codes = {
        ExitCode.UNAVAILABLE if item.status == 503 else exit_code_of_cancelled(item.order)
        for item in items
    }
    for code in (ExitCode.UNAVAILABLE, ExitCode.OUTCOME_UNKNOWN, ExitCode.REFUSED):
        if code in codes:
            return code
    return ExitCode.OK
