"""Orders at a rate that rises and falls, each asked for until it has a definite answer."""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import uuid4

from bench.plan import RECORDED
from client.errors import Refused, SherwoodError
from client.sherwood import Sherwood

PATIENCE_SECONDS: Final = 120.0
PAUSE_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class Shape:
    """A rate in orders a second: `low`, up to `high` in `rise_seconds`, there for `high_seconds`,
    and `low` again.
    """

    low: float
    high: float
    low_seconds: float
    rise_seconds: float
    high_seconds: float
    after_seconds: float

    @property
    def seconds(self) -> float:
        """All of it."""
        return self.low_seconds + self.rise_seconds + self.high_seconds + self.after_seconds

    def rate(self, at: float) -> float:
        """Orders a second at this moment; none after its end."""
        if at >= self.seconds:
            return 0.0
        into = at - self.low_seconds
        if into < 0 or into > self.rise_seconds + self.high_seconds:
            return self.low
        return min(self.high, self.low + (self.high - self.low) * into / self.rise_seconds)

    def moments(self) -> Iterator[float]:
        """When each order is due."""
        at = 0.0
        while at < self.seconds:
            yield at
            at += 1 / self.rate(at)


@dataclass(frozen=True, slots=True)
class Answered:
    """An order and how long its user waited, however often it was asked for; `order_id` is None
    where it was refused, or nobody ever knew.
    """

    due: float
    seconds: float
    ending: str
    order_id: str | None


class Load:
    """Users who buy and sell one share at a time; `answered` grows as answers come."""

    def __init__(self, users: Sequence[Sherwood]) -> None:
        self._users = users
        self.answered: list[Answered] = []
        self.repeated: Counter[str] = Counter()
        self.asked = 0

    async def run(self, shape: Shape, now: Callable[[], float]) -> None:
        """Ask for all of it, and return when every order has its answer."""
        async with asyncio.TaskGroup() as tasks:
            for number, due in zip(itertools.count(), shape.moments(), strict=False):
                await asyncio.sleep(max(0.0, due - now()))
                self.asked += 1
                tasks.create_task(self._order(number, due, now))

    async def _order(self, number: int, due: float, now: Callable[[], float]) -> None:
        ending, order_id = await self._place(number)
        self.answered.append(Answered(due, now() - due, ending, order_id))

    async def _place(self, number: int) -> tuple[str, str | None]:
        user, turn = number % len(self._users), number // len(self._users)
        symbol = RECORDED[(user + turn // 2) % len(RECORDED)]
        side: Final = "buy" if turn % 2 == 0 else "sell"
        key = uuid4()
        give_up = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                placement = await self._users[user].place(side, symbol, 1, key=key)
            except Refused as refusal:
                return f"refused: {refusal.code}", None
            except SherwoodError as error:
                name = type(error).__name__
                self.repeated[name] += 1
                if time.monotonic() > give_up:
                    return f"unanswered: {name}", None
                await asyncio.sleep(PAUSE_SECONDS)
            else:
                return "taken", str(placement.order.id)
