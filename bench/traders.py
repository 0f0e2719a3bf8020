"""The demo's users at work: every wish placed through HTTP, repeated until its answer is known."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, TypeVar
from uuid import UUID

from bench.plan import Wish
from client.auth import BearerToken
from client.errors import NotFound, Problem, Refused, SherwoodError
from client.models import Order
from client.sherwood import Sherwood

AT_ONCE: Final = 8
"""Requests under way together; more would measure this machine, not the books."""
PATIENCE_SECONDS: Final = 90.0
"""How long one request is repeated while something is being restarted."""
PAUSE_SECONDS: Final = 0.3

Answer = TypeVar("Answer")


@dataclass
class Outcome:
    """What the users were told, and how often something had to be asked again."""

    answers: Counter[str] = field(default_factory=Counter)
    """How placements and cancels ended, by status or problem code."""
    repeated: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    """Wishes that nobody ever answered."""


class Traders:
    """All users of a run; `placed` is called after each wish is dealt with."""

    def __init__(self, users: dict[str, Sherwood], placed: Callable[[], None]) -> None:
        self.users = users
        self.outcome = Outcome()
        self._placed = placed
        self._turn = asyncio.Semaphore(AT_ONCE)

    async def live(self, wishes: Sequence[Wish]) -> None:
        """Deal with all wishes: those of one user one after the other, users beside each other."""
        by_user: dict[str, list[Wish]] = {}
        for wish in wishes:
            by_user.setdefault(wish.user, []).append(wish)
        async with asyncio.TaskGroup() as changes_of_mind, asyncio.TaskGroup() as living:
            for user, own in by_user.items():
                living.create_task(self._live(self.users[user], own, changes_of_mind))

    async def _live(
        self, client: Sherwood, wishes: Sequence[Wish], changes_of_mind: asyncio.TaskGroup
    ) -> None:
        for wish in wishes:
            async with self._turn:
                order = await self._place(client, wish)
            self._placed()
            if order is not None and wish.cancel_after_seconds is not None:
                changes_of_mind.create_task(
                    self._cancel_later(client, order.id, wish.cancel_after_seconds)
                )

    async def _place(self, client: Sherwood, wish: Wish) -> Order | None:
        listed = await self._persist(lambda: client.symbol(wish.symbol))
        if listed is None or listed.price_cents is None:
            self.outcome.lost.append(f"{wish.key}: no price of {wish.symbol}")
            return None
        limit_cents = wish.limit_cents(listed.price_cents)
        try:
            placement = await self._persist(
                lambda: client.place(
                    wish.side, wish.symbol, wish.shares, price_cents=limit_cents, key=wish.key
                )
            )
        except Refused as refusal:
            self.outcome.answers[f"refused: {refusal.code}"] += 1
            return None
        if placement is None:
            self.outcome.lost.append(f"{wish.key}: no answer")
            return None
        undecided = placement.order.placement_is_unknown
        self.outcome.answers["taken, undecided" if undecided else "taken"] += 1
        return placement.order

    async def _cancel_later(self, client: Sherwood, order_id: UUID, after_seconds: float) -> None:
        await asyncio.sleep(after_seconds)
        async with self._turn:
            await self.cancel(client, order_id)

    async def cancel(self, client: Sherwood, order_id: UUID) -> None:
        """Cancel an order, however long it takes to be answered."""
        try:
            cancellation = await self._persist(lambda: client.cancel(order_id))
        except Refused as refusal:
            self.outcome.answers[f"cancel refused: {refusal.code}"] += 1
            return
        if cancellation is None:
            self.outcome.lost.append(f"cancel of {order_id}: no answer")
        else:
            self.outcome.answers["cancelled" if cancellation.ok else "cancel, undecided"] += 1

    async def _persist(self, ask: Callable[[], Awaitable[Answer]]) -> Answer | None:
        """Ask until there is a definite answer, None if there is none for `PATIENCE_SECONDS`."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while True:
                    try:
                        return await ask()
                    except SherwoodError as error:
                        if isinstance(error, NotFound) or not error.retryable:
                            raise
                        self.outcome.repeated[_name(error)] += 1
                        await asyncio.sleep(error.retry_after_seconds or PAUSE_SECONDS)
        except TimeoutError:
            return None


def _name(error: SherwoodError) -> str:
    return error.code if isinstance(error, Problem) else type(error).__name__


@asynccontextmanager
async def trading(
    api_url: str, wishes: Sequence[Wish], placed: Callable[[], None]
) -> AsyncIterator[Traders]:
    """Open the accounts of everybody who wishes for something, and a connection for each."""
    async with AsyncExitStack() as resources:
        registrar = await resources.enter_async_context(Sherwood(api_url))
        users: dict[str, Sherwood] = {}
        for user in dict.fromkeys(wish.user for wish in wishes):
            token = await registrar.development_token(user)
            client = Sherwood(api_url, auth=BearerToken(token.token))
            users[user] = await resources.enter_async_context(client)
        yield Traders(users, placed)
