"""The demo's users at work: every wish placed through HTTP, repeated until its answer is known."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, TypeVar
from uuid import UUID

from bench.plan import Wish
from brokerage.contracts.ids import order_id_for
from client.auth import BearerToken
from client.errors import NotFound, Problem, Refused, SherwoodError
from client.models import Order
from client.sherwood import Sherwood

AT_ONCE: Final = 8
"""Requests under way together; more would measure this machine, not the books."""
PATIENCE_SECONDS: Final = 90.0
"""How long one request is repeated while something is being restarted."""
PAUSE_SECONDS: Final = 0.3
RACE_PAUSE_SECONDS: Final = 0.02

LateFill = Callable[[str], AbstractAsyncContextManager[None]]
Answer = TypeVar("Answer")


@dataclass
class Outcome:
    """What the users were told, and how often something had to be asked again."""

    answers: Counter[str] = field(default_factory=Counter)
    """How placements ended, by status or problem code."""
    cancels: Counter[str] = field(default_factory=Counter)
    races: Counter[str] = field(default_factory=Counter)
    """How cancels ended that raced a fill, and how the others did."""
    repeated: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    """Wishes that nobody ever answered."""


class Traders:
    """All users of a run.

    `placed` is called after each wish is dealt with; `late_fill` has the exchange fill an order
    late during a block.
    """

    def __init__(
        self, users: dict[str, Sherwood], placed: Callable[[], None], late_fill: LateFill
    ) -> None:
        self.users = users
        self.outcome = Outcome()
        self._placed = placed
        self._late_fill = late_fill
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
                order = await (self._race if wish.races else self._place)(client, wish)
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

    async def _race(self, client: Sherwood, wish: Wish) -> None:
        """Place an order that is filled late, and cancel it about then."""
        order_id = order_id_for(wish.user, str(wish.key))
        async with self._late_fill(order_id), asyncio.TaskGroup() as both:
            placing = both.create_task(self._place(client, wish))
            both.create_task(self._cancel_unanswered(client, wish, UUID(order_id), placing))

    async def _cancel_unanswered(
        self,
        client: Sherwood,
        wish: Wish,
        order_id: UUID,
        placing: asyncio.Task[Order | None],
    ) -> None:
        """Cancel an order, whether its placement was answered by then or not."""
        await asyncio.sleep(wish.cancel_after_seconds or 0.0)
        while True:
            was_placed = placing.done()
            try:
                self.outcome.races[await self._cancelled(client, order_id)] += 1
            except NotFound:
                if was_placed:
                    self.outcome.races["nothing to cancel"] += 1
                    return
                await asyncio.sleep(RACE_PAUSE_SECONDS)
            else:
                return

    async def cancel(self, client: Sherwood, order_id: UUID) -> None:
        """Cancel an order, however long it takes to be answered."""
        self.outcome.cancels[await self._cancelled(client, order_id)] += 1

    async def _cancelled(self, client: Sherwood, order_id: UUID) -> str:
        """How a cancel ended: `cancelled`, `undecided`, or the code it was refused with.

        Raises NotFound for an order that is not there, or not yet.
        """
        try:
            cancellation = await self._persist(lambda: client.cancel(order_id))
        except Refused as refusal:
            return refusal.code
        if cancellation is None:
            self.outcome.lost.append(f"cancel of {order_id}: no answer")
            return "no answer"
        return "cancelled" if cancellation.ok else "undecided"

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
    api_url: str, wishes: Sequence[Wish], placed: Callable[[], None], late_fill: LateFill
) -> AsyncIterator[Traders]:
    """Open the accounts of everybody who wishes for something, and a connection for each."""
    async with AsyncExitStack() as resources:
        registrar = await resources.enter_async_context(Sherwood(api_url))
        users: dict[str, Sherwood] = {}
        for user in dict.fromkeys(wish.user for wish in wishes):
            token = await registrar.development_token(user)
            client = Sherwood(api_url, auth=BearerToken(token.token))
            users[user] = await resources.enter_async_context(client)
        yield Traders(users, placed, late_fill)
