"""Each server goes down, or freezes, in the middle of every request: each is answered with what is
true, in time, and everything ends as the exchange says.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final
from uuid import uuid4

import httpx
import pytest

from brokerage.contracts.ids import order_id_for
from devstack.stack import DevStack
from tests.support.accounts import Account, account
from tests.support.eventually import PAUSE_SECONDS, eventually
from tests.support.exchange_rules import control, exchange_of, recorded
from tests.support.order_follower import PATH, OrderFollower, following
from tests.support.trading import RESTING, Order, place, placed

Ask = Callable[[], Awaitable[httpx.Response]]

ANSWER_SECONDS: Final = 30.0
"""What the API promises at most."""
WATCH_SECONDS: Final = 30.0
"""How long it waits for an order to change where it is asked to."""
RECOVERY_SECONDS: Final = 120.0
HELD_SECONDS: Final = 1.0
"""How long the exchange holds a call, so that the fault strikes while it is under way."""
NEW: Final[Order] = {**RESTING, "numShares": 3}

SHOWN: Final = frozenset({"200"})
ASKED: Final = frozenset({"202"})
SOME_ASKED: Final = frozenset({"207"})
AWAY: Final = frozenset({"503 unavailable"})
BLIND: Final = AWAY | {"503 feed-stale"}
"""Without the last price no order is taken."""
TRUTHS: Final[Mapping[str, Mapping[str, frozenset[str]]]] = {
    "postgres": {
        "place": AWAY,
        "cancel": AWAY,
        "cancel all": AWAY,
        "read": AWAY,
        "read a newer one": AWAY,
        "list": AWAY,
        "portfolio": AWAY,
        "events": AWAY,
        "stream": AWAY,
        "preview": AWAY,
        "holds": AWAY,
        "executions": AWAY,
        "why": AWAY,
    },
    "nats": {
        "place": BLIND,
        "cancel": ASKED,
        "cancel all": SOME_ASKED,
        "price": SHOWN | AWAY,
        "preview": BLIND,
    },
    "temporal": {"place": AWAY, "cancel": AWAY, "cancel all": SOME_ASKED},
    "gateway": {"place": ASKED, "cancel": ASKED, "cancel all": SOME_ASKED},
    "exchange": {
        "place": ASKED | BLIND,
        "cancel": ASKED,
        "cancel all": SOME_ASKED,
        "preview": SHOWN | BLIND,
    },
}
"""By what is away: how a request that comes meanwhile may be answered; 200 where nothing stands."""
UNDER_WAY: Final[Mapping[str, frozenset[str]]] = {
    "place": frozenset({"201", "202", "503 unavailable"}),
    "cancel": frozenset({"200", "202", "503 unavailable"}),
}
"""How a request may be answered that had reached the exchange when the fault struck."""
STATUS_THERE: Final = {
    "submitted": "open",
    "cancelled": "cancelled",
    "failed": None,
    "rejected": None,  # it waited too long to be sent
}
"""By our status of an order that never trades: what the exchange calls it, None if it has none."""


@asynccontextmanager
async def bad_day(stack: DevStack, part: str, how: str) -> AsyncIterator[None]:
    """Without this process for the block: killed, or frozen with its connections open."""
    if how == "down":
        stack.kill(part)
        await stack.stop(part)
    else:
        stack.pause(part)
    try:
        yield
    finally:
        if how == "down":
            await stack.start(part)
        else:
            stack.resume(part)


async def in_time(request: Awaitable[httpx.Response]) -> httpx.Response:
    async with asyncio.timeout(ANSWER_SECONDS):
        return await request


async def as_true(ask: Ask, truths: frozenset[str]) -> httpx.Response:
    """The answer in time; asked again where 503 is not for what is away but for a busy machine."""
    deadline = time.monotonic() + ANSWER_SECONDS
    while True:
        answer = await in_time(ask())
        is_final = answer.status_code != 503 or kind(answer) in truths
        if is_final or time.monotonic() > deadline:
            return answer
        await asyncio.sleep(PAUSE_SECONDS)


async def reaching(ask: Ask, struck: asyncio.Event) -> httpx.Response:
    """The answer in time; asked again where it came before the exchange was reached."""
    while True:
        answer = await in_time(ask())
        if answer.status_code != 503 or struck.is_set():
            return answer
        await asyncio.sleep(PAUSE_SECONDS)


async def shown(alice: Account, path: str, **params: int) -> Any:
    """What is read there, once a server that came back is connected to again."""

    async def attempt() -> Any:
        answer = await in_time(alice.http.get(path, params=params))
        assert answer.status_code == 200, answer.text
        return answer.json()

    return await eventually(attempt, f"{path} is shown", RECOVERY_SECONDS)


def kind(answer: httpx.Response) -> str:
    """The status, and the code of a problem; who may come again is told when."""
    if answer.status_code in (202, 503):
        assert answer.headers["retry-after"]
    if answer.headers["content-type"] != "application/problem+json":
        return str(answer.status_code)
    assert answer.json()["retryable"] is True
    return f"{answer.status_code} {answer.json()['code']}"


async def hold(exchange: httpx.AsyncClient, route: str, order_id: str) -> None:
    """Have the exchange hold the next such call about the order."""
    match = {"route": route, "clientOrderId": order_id}
    await control(exchange, "rules", action="delay", seconds=HELD_SECONDS, times=1, match=match)


async def are_held(exchange: httpx.AsyncClient, *order_ids: str) -> None:
    """Return once the exchange holds a call about each of these orders."""

    async def are() -> bool:
        rules = (await exchange.get("/v1/control/rules")).json()["items"]
        fired = {one["rule"]["match"].get("clientOrderId") for one in rules if one["fired"]}
        return fired.issuperset(order_ids)

    await eventually(are, "the calls have reached the exchange", RECOVERY_SECONDS)


async def stream(alice: Account) -> httpx.Response:
    """The head of the answer to a stream that is opened."""
    async with alice.http.stream("GET", PATH) as answer:
        return answer


async def wait_for_newer(alice: Account, order: Order, truths: frozenset[str]) -> httpx.Response:
    """The answer with a newer version, or that there is none; who waited in vain waits again."""
    path, params = f"/order/{order['id']}", {"afterVersion": order["version"]}
    longest = WATCH_SECONDS + ANSWER_SECONDS
    async with asyncio.timeout(2 * longest + RECOVERY_SECONDS):
        while True:
            async with asyncio.timeout(longest):
                answer = await alice.http.get(path, params=params, timeout=longest)
            if answer.status_code == 200 and answer.json()["version"] <= order["version"]:
                continue
            if answer.status_code != 503 or kind(answer) in truths:
                return answer
            await asyncio.sleep(PAUSE_SECONDS)


async def ask_all(
    part: str, bob: Account, carol: Account, key: str, known: Order, gone: Order
) -> dict[str, httpx.Response]:
    """The answers to one request of every kind, sent at once while the part is away."""
    one = f"/order/{known['id']}"
    requests: dict[str, Ask] = {
        "place": lambda: place(bob, NEW, key),
        "cancel": lambda: bob.http.delete(f"/order/{gone['id']}"),
        "cancel all": lambda: carol.http.delete("/orders"),
        "read": lambda: bob.http.get(one),
        "read a newer one": lambda: bob.http.get(one, params={"afterVersion": 0}),
        "list": lambda: bob.http.get("/orders"),
        "portfolio": lambda: bob.http.get("/portfolio"),
        "events": lambda: bob.http.get("/orders/events"),
        "stream": lambda: stream(bob),
        "preview": lambda: bob.http.post("/order/preview", json=NEW),
        "holds": lambda: bob.http.get("/account/holds"),
        "clock": lambda: bob.http.get("/clock"),
        "executions": lambda: bob.http.get("/executions"),
        "why": lambda: bob.http.get(f"{one}/why"),
        "price": lambda: bob.http.get("/symbol/SPY"),
        "ready": lambda: bob.http.get("/readyz"),
    }
    async with asyncio.TaskGroup() as tasks:
        asked = {
            name: tasks.create_task(as_true(ask, TRUTHS[part].get(name, SHOWN)))
            for name, ask in requests.items()
        }
    return {name: task.result() for name, task in asked.items()}


async def is_placed_once(alice: Account, key: str, first: httpx.Response) -> None:
    """A placement is on record if it was said to be, and, repeated, it is the same order."""
    order_id = order_id_for(alice.user, key)
    if first.status_code in (201, 202):
        assert first.json()["id"] == order_id
        await shown(alice, f"/order/{order_id}")

    async def is_definite() -> bool:
        return (await place(alice, NEW, key)).status_code in (201, 422)

    await eventually(is_definite, "the placement has an answer", RECOVERY_SECONDS)
    again = await as_true(lambda: place(alice, NEW, key), frozenset())
    assert again.headers["idempotent-replayed"] == "true"
    await shown(alice, f"/order/{order_id}")


async def is_cancelled(alice: Account, path: str) -> None:
    """A cancel, repeated, is carried out."""

    async def is_gone() -> bool:
        return (await alice.http.delete(path)).status_code == 200

    await eventually(is_gone, f"DELETE {path} is carried out", RECOVERY_SECONDS)


async def agrees(exchange: httpx.AsyncClient, alice: Account) -> None:
    """Every order stands as the exchange says, and only those that are open hold anything."""
    orders = (await shown(alice, "/orders"))["items"]
    held = 0
    for order in orders:
        theirs = await recorded(exchange, order["id"])
        status = None if theirs is None else theirs["status"]
        assert status == STATUS_THERE[order["status"]], order
        if status == "open":
            held += order["numShares"] * order["priceInCents"]
    assert (await shown(alice, "/portfolio"))["heldCashInCents"] == held


async def tells_all(follower: OrderFollower, alice: Account) -> None:
    """The stream that was open all day has every event, once, in order."""
    page = await shown(alice, "/orders/events", limit=200)
    await follower.has_heard(page["lastSeq"])
    assert follower.seqs == [event["seq"] for event in page["items"]]


async def serves_again(alice: Account) -> None:
    """A new order is placed as ever."""

    async def is_placed() -> bool:
        return (await place(alice, RESTING)).status_code == 201

    await eventually(is_placed, "orders are placed again", RECOVERY_SECONDS)


@pytest.mark.parametrize("how", ["down", "frozen"])
@pytest.mark.parametrize("part", TRUTHS)
async def test_every_request_in_the_middle_of_it_is_answered_and_ends_in_the_truth(
    stack: DevStack, part: str, how: str
) -> None:
    key, later_key = str(uuid4()), str(uuid4())
    async with AsyncExitStack() as opened:
        exchange = await opened.enter_async_context(exchange_of(stack))
        alice, bob, carol = [
            await opened.enter_async_context(account(stack.api_url)) for _ in range(3)
        ]
        going, kept = await placed(alice, RESTING), await placed(alice, RESTING)
        gone, known = await placed(bob, RESTING), await placed(bob, RESTING)
        await placed(carol, RESTING)
        follower = await opened.enter_async_context(following(alice.http, {"after": 0}))
        new_id = order_id_for(alice.user, key)
        await hold(exchange, "place", new_id)
        await hold(exchange, "cancel", going["id"])

        struck = asyncio.Event()
        newer_truths = TRUTHS[part].get("read a newer one", frozenset()) | SHOWN

        async with asyncio.TaskGroup() as tasks:
            placing = tasks.create_task(reaching(lambda: place(alice, NEW, key), struck))
            cancel_path = f"/order/{going['id']}"
            cancelling = tasks.create_task(reaching(lambda: alice.http.delete(cancel_path), struck))
            waiting = tasks.create_task(wait_for_newer(alice, kept, newer_truths))
            await are_held(exchange, new_id, going["id"])
            struck.set()
            async with bad_day(stack, part, how):
                meanwhile = await ask_all(part, bob, carol, later_key, known, gone)
                under_way = {"place": await placing, "cancel": await cancelling}
            await is_cancelled(alice, f"/order/{kept['id']}")

        for name, answer in meanwhile.items():
            assert kind(answer) in TRUTHS[part].get(name, SHOWN), name
        for name, answer in under_way.items():
            assert kind(answer) in UNDER_WAY[name], name
        for answer in (meanwhile["cancel"], under_way["cancel"]):
            assert answer.status_code == 503 or answer.json()["ok"] is (answer.status_code == 200)
        newer = waiting.result()
        assert kind(newer) in newer_truths
        assert newer.status_code != 200 or newer.json()["version"] > kept["version"]

        await is_placed_once(alice, key, under_way["place"])
        await is_placed_once(bob, later_key, meanwhile["place"])
        await is_cancelled(alice, cancel_path)
        await is_cancelled(bob, f"/order/{gone['id']}")
        await is_cancelled(carol, "/orders")
        for user in (alice, bob, carol):
            await agrees(exchange, user)
        await tells_all(follower, alice)
        await serves_again(carol)
