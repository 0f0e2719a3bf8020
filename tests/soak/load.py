"""Users at work on every API node: what each does next is drawn from the seed, each from a stream
of chance of its own. Every call is recorded.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import httpx

from bench.plan import SHARES_MAX, SHARES_MAX_OTHERWISE, Wish, draw_wishes
from brokerage.contracts.ids import order_id_for
from devstack.stack import DevStack
from tests.checker.history import History, RecordingClient
from tests.support.accounts import Account, fetch_token
from tests.support.order_watch import Follower, HttpxSse
from tests.support.trading import no_rate_limit

Op = Literal["place", "cancel", "repeat", "change", "read", "list", "cancel all"]
OPS: Final[Mapping[Op, int]] = {
    "place": 50,
    "cancel": 14,
    "repeat": 8,
    "change": 3,
    "read": 18,
    "list": 2,
    "cancel all": 5,
}
"""How often each is done, of a hundred; a `change` is another body under a known key."""
PAUSE_SECONDS: Final = (0.1, 0.7)
"""Between two things that a user does."""
AGAIN_SECONDS: Final = 0.25
CALL_SECONDS: Final = 12.0
"""A client's patience with one call; with an order it has no end: its key is repeated."""
ANSWER_SECONDS: Final = 90.0
"""How long after the faults an unanswered placement may take: send-by, the exchange's visibility
bound, and pauses that grow to ten seconds; on a busy machine.
"""
CANCEL_SECONDS: Final = 90.0
WISHES_PER_SECOND_MAX: Final = 4
DEFINITE: Final = frozenset({201, 202, 400, 422})
"""Answers to a placement after which a client does not ask again."""


@dataclass(frozen=True)
class User:
    """A user, with a recording client and a plain one for each API node."""

    account: Account
    clients: Sequence[RecordingClient]
    https: Sequence[httpx.AsyncClient]


class Load:
    """All users of a run. `undecided`: order ids whose placement is not answered, and since when
    (seconds of the wall clock).
    """

    def __init__(self, users: Sequence[User], seed: int, seconds: float) -> None:
        self.users = users
        self.undecided: dict[str, float] = {}
        self._seed = seed
        wishes_max = int(len(users) * ((seconds + 60) * WISHES_PER_SECOND_MAX))
        self._wishes = draw_wishes(len(users), wishes_max, seed, "soak")

    async def run(self, over: asyncio.Event) -> None:
        """Return when `over` is set and every placement has its answer, or `undecided` has those
        that had none for too long.
        """
        lives = []
        async with asyncio.TaskGroup() as tasks:
            for number, user in enumerate(self.users):
                chance = random.Random(f"ops-{self._seed}-{number}")
                wishes = self._wishes[number :: len(self.users)]
                person = _Person(self, user, wishes, chance)
                lives.append(tasks.create_task(person.live(over)))
            await over.wait()
            await asyncio.wait(lives, timeout=ANSWER_SECONDS)
            for life in lives:
                life.cancel()


class _Person:
    """One user's life."""

    def __init__(
        self, load: Load, user: User, wishes: Sequence[Wish], chance: random.Random
    ) -> None:
        self._load = load
        self._user = user
        self._wishes = wishes
        self._chance = chance
        self._placed: list[tuple[str, Mapping[str, Any]]] = []
        """Keys and bodies, in order."""
        self._prices: dict[str, int] = {}

    async def live(self, over: asyncio.Event) -> None:
        while not over.is_set():
            op = self._chance.choices([*OPS], [*OPS.values()])[0]
            client = self._chance.choice(self._user.clients)
            if op == "place" or not self._placed:
                await self._place_next()
            else:
                key, body = self._chance.choice(self._placed[-20:])
                await self._do(op, client, key, body)
            await asyncio.sleep(self._chance.uniform(*PAUSE_SECONDS))

    async def _do(self, op: Op, client: RecordingClient, key: str, body: Mapping[str, Any]) -> None:
        order_id = order_id_for(self._user.account.user, key)
        match op:
            case "cancel":
                await client.cancel(order_id)
            case "repeat":
                await client.place(body, key)
            case "change":
                await client.place({**body, "numShares": body["numShares"] + 1}, key)
            case "read":
                await client.read(order_id)
            case "list":
                await client.list()
            case "cancel all":
                await _quietly(self._chance.choice(self._user.https).delete("/orders"))

    async def _place_next(self) -> None:
        """Place the next wish, again and again under its key until it has an answer."""
        number = len(self._placed)
        wish = self._wishes[number]
        # Shares that differ from those of the orders around it: a fill of the wrong one shows.
        tracer = replace(
            wish, shares=1 + number % SHARES_MAX.get(wish.symbol, SHARES_MAX_OTHERWISE)
        )
        body = await self._body(tracer)
        key = str(wish.key)
        order_id = order_id_for(self._user.account.user, key)
        self._placed.append((key, body))
        self._load.undecided[order_id] = time.time()
        while True:
            answer = await self._chance.choice(self._user.clients).place(body, key)
            if answer is not None and answer.status_code in DEFINITE:
                del self._load.undecided[order_id]
                return
            await asyncio.sleep(AGAIN_SECONDS)

    async def _body(self, wish: Wish) -> dict[str, Any]:
        body = {"position": wish.side, "symbol": wish.symbol, "numShares": wish.shares}
        limit_cents = wish.limit_cents(await self._price(wish.symbol))
        if limit_cents is None:
            return body
        lasting = self._chance.choice(("day", "gtc", "ioc"))
        return {**body, "priceInCents": limit_cents, "timeInForce": lasting}

    async def _price(self, symbol: str) -> int:
        """The last price; while it cannot be had, the one before it."""
        while True:
            answer = await _quietly(self._chance.choice(self._user.https).get(f"/symbol/{symbol}"))
            # NATS forgets prices when it dies; until the feed tells them again there is none.
            if answer is not None and answer.is_success and answer.json()["priceInCents"]:
                self._prices[symbol] = answer.json()["priceInCents"]
            if symbol in self._prices:
                return self._prices[symbol]
            await asyncio.sleep(AGAIN_SECONDS)


async def cancel_everything(users: Sequence[User]) -> None:
    """Return when none of them has an order left that could be cancelled, or it took too long."""
    with suppress(TimeoutError):
        async with asyncio.timeout(CANCEL_SECONDS), asyncio.TaskGroup() as tasks:
            for user in users:
                tasks.create_task(_cancel_all_of(user))


async def _cancel_all_of(user: User) -> None:
    while True:
        for http in user.https:
            answer = await _quietly(http.delete("/orders"))
            if answer is not None and answer.status_code == 200:
                return
        await asyncio.sleep(AGAIN_SECONDS)


async def _quietly(request: Any) -> httpx.Response | None:
    try:
        response: httpx.Response = await request
    except httpx.TransportError:
        return None
    return response


@asynccontextmanager
async def open_users(
    stack: DevStack, names: Sequence[str], history: History
) -> AsyncIterator[list[User]]:
    """Open their accounts, with no limit to how fast they place, and clients for each node."""
    async with AsyncExitStack() as opened:
        users = []
        for name in names:
            token = await fetch_token(stack.api_url, name)
            https = [
                await opened.enter_async_context(
                    httpx.AsyncClient(
                        base_url=url,
                        headers={"Authorization": f"Bearer {token}"},
                        timeout=CALL_SECONDS,
                        trust_env=False,
                    )
                )
                for url in stack.api_urls
            ]
            account = Account(name, token, https[0])
            await no_rate_limit(stack, account)
            users.append(User(account, [history.client(http, name) for http in https], https))
        yield users


def followers_of(stack: DevStack, users: Sequence[User]) -> list[Follower]:
    """A stream of order events for each user, on whichever node takes it."""
    return [HttpxSse(user.account, stack.api_urls) for user in users]
