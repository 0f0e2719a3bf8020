"""A dozen crash points of the whole matrix, on one stack and nearly at once."""

import asyncio
from collections.abc import Callable
from typing import Final

from tests.faults.crash_cases import Case, Crashable
from tests.faults.crash_catalogue import BY_NAME
from tests.faults.crash_points import Action, Point

SAMPLE: Final[tuple[tuple[str, Action], ...]] = (
    ("withdraw-answered", "kill"),
    ("report-told", "kill"),
    ("claim-after", "kill"),
    ("reserve-committed", "kill"),
    ("send-before", "hang"),
    ("exchange-sent", "kill"),
    ("send-answered", "kill"),
    ("fill-first", "error"),
    ("resolve-committed", "error"),
    ("wish-committed", "error"),
    ("feed-published", "kill"),
    ("settle-written", "kill"),
    ("settle-committed", "error"),
)


async def test_a_dozen_crashes_at_once_lose_and_double_nothing(
    case: Callable[[Point, Action], Case], crashable: Crashable
) -> None:
    async with asyncio.TaskGroup() as tasks:
        for name, action in SAMPLE:
            tasks.create_task(crashable.live(case(BY_NAME[name], action)))
    assert await crashable.check() == []
