"""The kill switch on the whole stack: what stops, for whom, and what goes on."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import uuid4

import httpx
import pytest

from brokerage.contracts.ids import order_id_for
from devstack.stack import DevStack
from tests.support.accounts import Account, account
from tests.support.answers import refused
from tests.support.eventually import eventually
from tests.support.exchange_rules import exchange_of, recorded, rule, struck
from tests.support.kill_switch import path_of, set_at_last, set_level, switched
from tests.support.trading import (
    RESTING,
    answered,
    cancelled,
    ended,
    held_cents,
    place,
    placed,
    read,
)

SCOPES = ("global", "user", "symbol")
ELSEWHERE = RESTING | {"symbol": "SPY"}


@pytest.fixture
async def bob(stack: DevStack) -> AsyncIterator[Account]:
    async with account(stack.api_url) as bob:
        yield bob


@pytest.fixture
async def exchange(stack: DevStack) -> AsyncIterator[httpx.AsyncClient]:
    async with exchange_of(stack) as exchange:
        yield exchange


def subject_of(scope: str, user: Account) -> dict[str, str]:
    """What names the switch that stops this user's orders of the usual symbol."""
    return {"global": {}, "user": {"user": user.user}, "symbol": {"symbol": "IBM"}}[scope]


@pytest.mark.parametrize("scope", SCOPES)
async def test_new_orders_are_refused_without_a_trace_and_cancels_pass(
    operator: Account, alice: Account, bob: Account, scope: str
) -> None:
    key, known_key = str(uuid4()), str(uuid4())
    known = await placed(alice, RESTING, known_key)
    async with switched(operator, 1, **subject_of(scope, alice)):
        await refused(lambda: place(alice, RESTING, key), "kill-switch")
        await refused(lambda: alice.http.post("/order/preview", json=RESTING), "kill-switch")
        replayed = await answered(alice, RESTING, 201, known_key)
        if scope == "global":
            await refused(lambda: place(bob, ELSEWHERE, key), "kill-switch")
        else:
            await placed(bob, ELSEWHERE, key)
        found = await alice.http.get("/orders", params={"idempotencyKey": key})
        still = await read(alice, known["id"])
        gone = await cancelled(alice, known["id"])
        shown = await state_of(operator)
    await placed(alice, RESTING, key)

    assert found.json()["items"] == []
    assert replayed.headers["idempotent-replayed"] == "true"
    assert still["status"] == "submitted"
    assert gone["status"] == "cancelled"
    assert (shown["lastAct"]["scope"], shown["lastAct"]["level"]) == (scope, 1)


@pytest.mark.parametrize("scope", SCOPES)
async def test_level_2_ends_what_is_open_and_the_ends_are_booked(
    operator: Account, alice: Account, bob: Account, scope: str
) -> None:
    orders = [await placed(alice, RESTING) for _ in range(3)]
    other = await placed(bob, ELSEWHERE)
    async with switched(operator, 2, **subject_of(scope, alice)):
        for order in orders:
            gone = await ended(alice, order["id"], "cancelled")
            assert gone["filledShares"] == 0
        if scope == "global":
            await ended(bob, other["id"], "cancelled")
    assert await held_cents(alice) == 0
    if scope != "global":
        assert (await read(bob, other["id"]))["status"] == "submitted"
    # What was placed after the release stays.
    after = await placed(alice, RESTING)
    assert (await read(alice, after["id"]))["status"] == "submitted"


async def test_level_3_books_nothing_until_it_is_released_and_loses_nothing(
    operator: Account, alice: Account, bob: Account, exchange: httpx.AsyncClient
) -> None:
    await held_back(operator, exchange, {}, (alice, RESTING), (bob, ELSEWHERE))
    async with asyncio.TaskGroup() as tasks:
        of_user = held_back(operator, exchange, {"user": alice.user}, (alice, RESTING))
        of_symbol = held_back(operator, exchange, {"symbol": "SPY"}, (bob, ELSEWHERE))
        tasks.create_task(of_user)
        tasks.create_task(of_symbol)


async def test_an_order_on_its_way_is_not_sent_after_the_switch_and_ends_as_never_placed(
    operator: Account, alice: Account, bob: Account, exchange: httpx.AsyncClient
) -> None:
    async def kept_back() -> None:
        order_id = await stopped_on_its_way(operator, alice, exchange)
        await ended(alice, order_id, "failed")
        assert await recorded(exchange, order_id) is None
        assert await held_cents(alice) == 0
        await set_at_last(operator, 0, user=alice.user)

    sent_early: list[dict[str, Any] | None] = []

    async def let_go() -> None:
        order_id = await stopped_on_its_way(operator, bob, exchange)
        sent_early.append(await recorded(exchange, order_id))
        await set_at_last(operator, 0, user=bob.user)
        end = await ended(bob, order_id, "submitted", "failed")
        # What is let go too late for its send-by is not sent: then it takes another order.
        assert end["status"] == "submitted", end

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(kept_back())
        tasks.create_task(eventually(let_go, "an order that was let go is sent", 180))
    assert not any(sent_early)


async def test_each_act_is_on_record_with_who_and_why(operator: Account, alice: Account) -> None:
    await set_at_last(operator, 2, user=alice.user)
    await set_at_last(operator, 0, user=alice.user)

    async def acts() -> Sequence[tuple[object, ...]]:
        page = await operator.http.get("/ops/acts", params={"subject": alice.user})
        found = [
            (act["act"], act["before"], act["after"], act["operator"], act["reason"])
            for act in page.json()["items"]
            # One that was repeated changed nothing.
            if act["before"] != act["after"]
        ]
        assert len(found) == 2
        return found

    by = (operator.user, "a test of the kill switch")
    assert await eventually(acts, "both are recorded") == [
        ("kill-switch user", 2, 0, *by),
        ("kill-switch user", 0, 2, *by),
    ]


@pytest.mark.parametrize(
    ("path", "change", "code"),
    [
        (path_of(), {"level": 4, "reason": "why"}, "invalid-request"),
        (path_of(), {"level": 1, "reason": " "}, "invalid-request"),
        (path_of(), {"level": True, "reason": "why"}, "invalid-request"),
        (path_of(user="no such"), {"level": 1, "reason": "why"}, "account-not-found"),
        (path_of(symbol="NOPE"), {"level": 1, "reason": "why"}, "symbol-not-found"),
    ],
)
async def test_a_change_that_makes_no_sense_changes_nothing(
    operator: Account, path: str, change: dict[str, object], code: str
) -> None:
    before = await state_of(operator)
    answer = await operator.http.put(path, json=change)

    assert answer.json()["code"] == code
    assert await state_of(operator) == before


async def test_customers_neither_see_nor_set_it(alice: Account) -> None:
    seen = await alice.http.get("/ops/kill-switch")
    set_to = await set_level(alice, 1)

    assert [answer.json()["code"] for answer in (seen, set_to)] == ["operator-only"] * 2


async def state_of(operator: Account) -> dict[str, Any]:
    """The switch, once the node can read it."""

    async def shown() -> dict[str, Any]:
        state: dict[str, Any] = (await operator.http.get("/ops/kill-switch")).json()
        assert state["readable"]
        return state

    state: dict[str, Any] = await eventually(shown, "the switch can be read")
    return state


async def held_back(
    operator: Account,
    exchange: httpx.AsyncClient,
    whose: dict[str, str],
    *bodies: tuple[Account, dict[str, object]],
) -> None:
    """What the exchange ends at level 3 of this switch ends here only once it is released."""
    orders = [(user, (await placed(user, body))["id"]) for user, body in bodies]
    async with switched(operator, 3, **whose):
        for user, order_id in orders:
            await is_cancelled_there(exchange, order_id)
            # The feed goes on: what came after the cancel is here.
            await price_moves(user, "SPY")
            assert (await read(user, order_id))["status"] == "submitted"
    for user, order_id in orders:
        await ended(user, order_id, "cancelled")


async def is_cancelled_there(exchange: httpx.AsyncClient, order_id: str) -> None:
    async def has_ended() -> bool:
        there = await recorded(exchange, order_id)
        return there is not None and there["status"] == "cancelled"

    await eventually(has_ended, "the exchange has cancelled it")


async def price_moves(user: Account, symbol: str) -> None:
    async def version() -> int:
        answer = await user.http.get(f"/symbol/{symbol}")
        assert answer.status_code == 200, answer.text
        found: int = answer.json()["v"]
        return found

    before: int = await eventually(version, f"there is a price of {symbol}")

    async def has_moved() -> bool:
        return await version() > before

    await eventually(has_moved, f"the price of {symbol} moves")


async def stopped_on_its_way(operator: Account, user: Account, exchange: httpx.AsyncClient) -> str:
    """An order that did not reach the exchange before its user was switched to level 1."""
    key = str(uuid4())
    order_id = order_id_for(user.user, key)
    async with rule(exchange, "place", order_id, "drop") as fired, asyncio.TaskGroup() as tasks:
        placing = tasks.create_task(place(user, RESTING, key))
        await struck(fired)
        await set_at_last(operator, 1, user=user.user)
        answer = await placing
        # 503 where its row could not be read in time.
        assert answer.status_code in (202, 503), answer.text
    return order_id
