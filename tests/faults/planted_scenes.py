"""What clients and the exchange do while a bug is in force; the same without it."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import uuid4

import httpx

from brokerage.contracts.ids import order_id_for
from tests.checker.history import History, RecordingClient
from tests.support.eventually import eventually
from tests.support.exchange_rules import control, rule
from tests.support.trading import Order

PATIENCE_SECONDS: Final = 60.0
"""How long a scene waits for what it goes on with."""
LOOK_SECONDS: Final = 8.0
"""How long it looks at its last for what a bug may prevent."""
TRIES: Final = 3
"""Orders that may be too late for the exchange, one after the other."""
PRICE_CENTS: Final = 100
"""So far below every market that nothing trades but what the exchange is told to execute."""
LOST: Final = {"action": "accept-then-drop", "times": 1}


class TooLate(Exception):
    """The order waited too long here to be sent, as it may on a busy machine."""


Play = Callable[["Scene"], Coroutine[Any, Any, None]]


@dataclass
class Scene:
    """One user who trades one symbol, and the exchange.

    A fault of the exchange strikes all that travel in one request: `whole_calls` keeps it to one at
    a time, so that each strikes the order it is meant for.
    """

    symbol: str
    exchange: httpx.AsyncClient
    history: History
    open_account: Callable[[str], Awaitable[tuple[str, RecordingClient]]]
    whole_calls: asyncio.Lock
    clients: dict[str, RecordingClient] = field(default_factory=dict)

    async def client(self) -> RecordingClient:
        """Another user of the scene."""
        user, client = await self.open_account(self.symbol)
        self.clients[user] = client
        return client

    @property
    def users(self) -> Collection[str]:
        """All of them."""
        return self.clients.keys()

    def resting(self, shares: int = 10) -> Order:
        """An order that nothing in the market reaches."""
        return {**self.market(shares), "priceInCents": PRICE_CENTS, "timeInForce": "gtc"}

    def market(self, shares: int = 10) -> Order:
        """One that trades at once."""
        return {"position": "buy", "symbol": self.symbol, "numShares": shares}

    async def place(
        self, client: RecordingClient, body: Order, key: str | None = None
    ) -> dict[str, Any]:
        """What a placement is answered with, repeated with its key until that is final or time is
        up.
        """
        key = key or str(uuid4())
        told: dict[str, Any] = {}

        async def attempt() -> bool:
            answer = await client.place(body, key)
            if answer is None:
                return False
            told.clear()
            told.update(answer.json())
            return answer.status_code in (201, 422)

        with suppress(AssertionError):
            await eventually(attempt, "it is answered", PATIENCE_SECONDS)
        return told

    async def placed(self, client: RecordingClient, body: Order) -> dict[str, Any]:
        """An order that the exchange has; another one where the first was too late for it."""
        for _ in range(TRIES):
            order = await self.place(client, body)
            if "id" in order:
                break
        return order

    async def struck(
        self, client: RecordingClient, body: Order, *actions: Mapping[str, Any]
    ) -> dict[str, Any]:
        """What a placement is answered with on which the exchange acts so (`rule`); another one
        where the first was too late to come to it.
        """
        [user] = self.users
        for _ in range(TRIES):
            key = str(uuid4())
            order_id = order_id_for(user, key)
            with suppress(TooLate):
                async with self.whole_calls, AsyncExitStack() as rules:
                    for terms in actions:
                        one = rule(self.exchange, "place", order_id, **terms)
                        await rules.enter_async_context(one)
                    order = await self.place(client, body, key)
                    if order.get("code") == "not-sent-in-time":
                        raise TooLate
                    return order
        raise TooLate

    async def cancel(self, client: RecordingClient, order: Order) -> None:
        """Cancel an order, again until the wish is on record, or time is up; and see it cancelled,
        if that comes.
        """

        async def attempt() -> bool:
            answer = await client.cancel(order["id"])
            return answer is not None and answer.status_code in (200, 202, 409)

        with suppress(AssertionError):
            await eventually(attempt, "the wish is on record", PATIENCE_SECONDS)
        await self.see(client, order["id"], "cancelled")

    async def see(self, client: RecordingClient, order_id: str, *statuses: str) -> None:
        """Look at an order until it has one of these statuses, or time is up."""

        async def attempt() -> bool:
            answer = await client.read(order_id)
            return answer is not None and answer.json().get("status") in statuses

        with suppress(AssertionError):
            await eventually(attempt, f"it is {statuses}", PATIENCE_SECONDS)

    async def execute(self, order: Order, shares: int, price_cents: int = PRICE_CENTS) -> None:
        """Have the exchange execute so much of an order, whatever its state."""
        external = order["externalOrderId"]
        await control(
            self.exchange, "executions", orderId=external, shares=shares, priceCents=price_cents
        )

    async def filled(
        self,
        client: RecordingClient,
        order: Order,
        shares: int,
        timeout_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        """Look until so many shares are filled, or time is up."""

        async def attempt() -> bool:
            answer = await client.read(order["id"])
            return answer is not None and answer.json().get("filledShares") == shares

        with suppress(AssertionError):
            await eventually(attempt, f"{shares} shares are filled", timeout_seconds)


async def rest(scene: Scene) -> None:
    """Place an order that rests."""
    client = await scene.client()
    await scene.placed(client, scene.resting())


async def buy(scene: Scene) -> None:
    """Place an order that trades."""
    client = await scene.client()
    order = await scene.placed(client, scene.market())
    await scene.filled(client, order, 10, LOOK_SECONDS)


async def buy_unanswered(scene: Scene) -> None:
    """The order trades, and its acknowledgement is long in coming."""
    client = await scene.client()
    late = {"action": "delay-reply", "seconds": 2.5, "times": 1}
    order = await scene.struck(client, scene.market(), late)
    await scene.filled(client, order, 10, LOOK_SECONDS)


async def refuse(scene: Scene) -> None:
    """The exchange refuses an order."""
    client = await scene.client()
    await scene.struck(client, scene.resting(), {"action": "refuse"})


async def lose_answer(scene: Scene) -> None:
    """The exchange accepts an order, and its answer is lost."""
    client = await scene.client()
    await scene.struck(client, scene.resting(), LOST)


async def lose_answer_unseen(scene: Scene) -> None:
    """The same, and for a moment the exchange does not show the order."""
    client = await scene.client()
    hidden = {"action": "hide", "seconds": 2, "times": 1}
    await scene.struck(client, scene.resting(), hidden, LOST)


async def cancel(scene: Scene) -> None:
    """Cancel an order that rests, and look at it before and after."""
    client = await scene.client()
    order = await scene.placed(client, scene.resting())
    await client.read(order["id"])
    await scene.cancel(client, order)


async def cancel_one_of_two(scene: Scene) -> None:
    """Cancel one of two orders."""
    client = await scene.client()
    orders = [await scene.placed(client, scene.resting()) for _ in range(2)]
    await scene.cancel(client, orders[0])


async def fill(scene: Scene) -> None:
    """A part of an order is executed."""
    client = await scene.client()
    order = await scene.placed(client, scene.resting())
    await scene.execute(order, 4)
    await scene.filled(client, order, 4, LOOK_SECONDS)


async def fill_late(scene: Scene) -> None:
    """An order that was cancelled is executed."""
    client = await scene.client()
    order = await scene.placed(client, scene.resting())
    await scene.cancel(client, order)
    await scene.execute(order, 4)
    await scene.filled(client, order, 4, LOOK_SECONDS)


async def fill_and_fill_late(scene: Scene) -> None:
    """A part of an order is executed, and another one when the rest was cancelled."""
    client = await scene.client()
    order = await scene.placed(client, scene.resting())
    await scene.execute(order, 2)
    await scene.filled(client, order, 2)
    await scene.cancel(client, order)
    await scene.execute(order, 3)
    await scene.filled(client, order, 5, LOOK_SECONDS)


async def bust(scene: Scene) -> None:
    """A part of an order is executed, and taken back."""
    client = await scene.client()
    order = await scene.placed(client, scene.resting())
    await scene.execute(order, 4)
    await scene.filled(client, order, 4)
    page = await scene.exchange.get("/v1/executions", params={"limit": 1000})
    [execution] = [
        one["executionId"]
        for one in page.json()["items"]
        if one["orderId"] == order["externalOrderId"]
    ]
    await control(scene.exchange, "busts", executionId=execution)
    await scene.filled(client, order, 0, LOOK_SECONDS)


async def same_key(scene: Scene) -> None:
    """Two users send orders under the same key."""
    key = str(uuid4())
    for shares in (10, 20):
        client = await scene.client()
        await scene.place(client, scene.resting(shares), key)


async def other_body(scene: Scene) -> None:
    """One user sends two orders under the same key."""
    key = str(uuid4())
    client = await scene.client()
    for shares in (10, 20):
        await scene.place(client, scene.resting(shares), key)


async def walk(scene: Scene) -> None:
    """Place more orders than a page holds, and walk through them."""
    client = await scene.client()
    for _ in range(6):
        await scene.placed(client, scene.resting(1))
    await client.list()
