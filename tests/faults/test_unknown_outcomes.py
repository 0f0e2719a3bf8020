"""Fifty calls to the exchange whose outcome is unknown, while workers and the gateway are frozen
and killed: no order is placed twice, none is called failed that is not, none is sent too late.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Literal
from uuid import uuid4

import httpx
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowHandle

from bench.checks import check, in_flight
from bench.kills import Kill, carry_out
from bench.records import Records, open_records
from bench.target import OwnStack, own_stack
from brokerage.contracts.ids import order_id_for, workflow_id_for
from tests.support.accounts import Account, account
from tests.support.eventually import eventually
from tests.support.exchange_rules import exchange_of, rule, struck
from tests.support.trading import RESTING, answered, at_database, place, read, until
from tests.support.unknown_outcomes import (
    ACTIONS,
    CASES,
    Life,
    Route,
    begin,
    draw_cases,
    live,
    one_case,
)

SEED = 23
TRADERS = 10
SETTLE_SECONDS = 90.0
ROUTES: tuple[Route, ...] = ("place", "cancel")
KINDS = [(route, action) for route in ROUTES for action in ACTIONS]


class Progress:
    """How many cases are lived."""

    def __init__(self) -> None:
        self._lived = 0

    def one_more(self) -> None:
        self._lived += 1

    async def reached(self, number: int) -> None:
        await eventually(lambda: self._lived >= number, f"{number} cases are lived", SETTLE_SECONDS)


async def test_fifty_unknown_outcomes_end_in_the_truth() -> None:
    async with (
        own_stack(speed=20.0, workers=2) as target,
        exchange_of(target.stack) as exchange,
        open_records(target.env) as records,
        accounts(target.api_url, TRADERS) as traders,
    ):
        cases = draw_cases(SEED)
        lives = {
            trader: [await begin(exchange, trader, case) for case in cases[index::TRADERS]]
            for index, trader in enumerate(traders)
        }
        progress = Progress()
        async with asyncio.TaskGroup() as tasks:
            async with frozen_sender(target, exchange, traders[0]) as frozen:
                for trader, own in lives.items():
                    tasks.create_task(live_all(trader, own, progress))
                await progress.reached(CASES // 5)
                killed = [await carry_out(target, Kill("gateway", 0))]
            await progress.reached(CASES // 2)
            other = "orders-1" if frozen == "orders-2" else "orders-2"
            killed.append(await carry_out(target, Kill(other, 0)))
        # One fault strikes a batch as a whole: a kind that others left no call gets its own.
        for route, action in await never_struck(exchange, lives):
            one = await begin(exchange, traders[0], one_case(route, action))
            lives[traders[0]].append(one)
            await live(traders[0], one)
        await late_requests_of_a_frozen_gateway(target, traders[0])
        await everything_agrees(records)

        for trader, own in lives.items():
            for one in own:
                await was_told_the_truth(trader, one)
        assert await accepted_too_late(target, records) == []
        assert await never_struck(exchange, lives) == []

    assert [str(one.kill) for one in killed if not one.happened] == []


@asynccontextmanager
async def accounts(api_url: str, number: int) -> AsyncIterator[list[Account]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(account(api_url)) for _ in range(number)]


async def live_all(trader: Account, lives: list[Life], progress: Progress) -> None:
    for one in lives:
        await live(trader, one)
        progress.one_more()


@asynccontextmanager
async def frozen_sender(
    target: OwnStack, exchange: httpx.AsyncClient, alice: Account
) -> AsyncIterator[str]:
    """A worker that is stopped (SIGSTOP) while it waits for the exchange's answer to a placement,
    and goes on at the end of the block, where the order must not be sent any more.

    Yields its name.
    """
    temporal = await Client.connect(target.env["SHERWOOD_TEMPORAL_ADDRESS"])
    key = str(uuid4())
    order_id = order_id_for(alice.user, key)
    handle = temporal.get_workflow_handle(workflow_id_for(order_id))
    async with (
        rule(exchange, "place", order_id, "hang", seconds=30) as fired,
        asyncio.TaskGroup() as tasks,
    ):
        tasks.create_task(place(alice, RESTING, key))
        await struck(fired)

        async def freeze() -> str:
            sender = await sender_of(handle)
            assert sender, "nobody is sending it now"
            [name] = [row.name for row in target.rows() if sender.startswith(f"{row.pid}@")]
            target.stack.pause(name)
            # What it was doing is still to be done: so it was frozen in the middle of it.
            if await sender_of(handle) == sender:
                return name
            target.stack.resume(name)
            raise AssertionError("it had moved on")

        name: str = await eventually(freeze, "a worker is frozen while it sends the order")
        try:
            yield name
            await past_send_by(target, order_id)
        finally:
            target.stack.resume(name)
    # Whether another worker placed it meanwhile is for the comparison to judge.
    await until(alice, order_id, lambda order: order["status"] != "pending")


async def sender_of(handle: WorkflowHandle[Any, Any]) -> str | Literal[False]:
    """The worker that is at work on the order (`pid@host`) and on which attempt, in its first task
    or in a normal activity.
    """
    for pending in (await handle.describe()).raw_description.pending_activities:
        return f"{pending.last_worker_identity}, attempt {pending.attempt}"
    last = (await handle.fetch_history()).events[-1]
    if last.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED:
        return f"{last.workflow_task_started_event_attributes.identity}, event {last.event_id}"
    return False


async def late_requests_of_a_frozen_gateway(target: OwnStack, alice: Account) -> None:
    """Requests that lie before a frozen gateway until they are too late are never sent."""
    key = str(uuid4())
    order_id = order_id_for(alice.user, key)
    target.stack.pause("gateway")
    try:
        await answered(alice, RESTING, 202, key)
        await past_send_by(target, order_id)
    finally:
        target.stack.resume("gateway")
    order = await until(alice, order_id, lambda seen: seen["status"] != "pending")

    assert (order["status"], order["reason"]) == ("failed", "not-placed")
    assert "past-send-by" in target.stack.home.log_of("gateway").read_text()


async def past_send_by(target: OwnStack, order_id: str) -> None:
    async def is_past() -> bool:
        rows = await at_database(
            target.stack, "SELECT send_by < now() AS past FROM orders WHERE order_id = $1", order_id
        )
        return bool(rows[0]["past"])

    await eventually(is_past, "the order must not be sent any more")


async def everything_agrees(records: Records) -> None:
    """Nothing is in flight, and both sides say the same of every order, share and cent."""

    async def agrees() -> None:
        ours = await records.ours()
        assert [order.order_id for order in in_flight(ours)] == []
        assert [str(one) for one in check(ours, await records.theirs())] == []

    await eventually(agrees, "both sides agree", SETTLE_SECONDS)


async def was_told_the_truth(trader: Account, life: Life) -> None:
    """What a repeat is answered with, for good, fits the order; and no answer before said else."""
    order = await read(trader, life.order_id)
    placed = order["status"] not in ("failed", "rejected")
    final = await answered(trader, life.case.body, 201 if placed else 422, life.case.key)
    definitive = {answer.status_code for answer in life.answers} & {201, 422}
    assert definitive <= {final.status_code}, life
    if life.case.cancelled and placed:
        assert order["status"] in ("cancelled", "filled"), life


async def accepted_too_late(target: OwnStack, records: Records) -> list[str]:
    """The orders that the exchange took after the moment until which they might be sent."""
    rows = await at_database(
        target.stack,
        "SELECT order_id::text, (extract(epoch FROM send_by) * 1000)::bigint AS send_by_ms "
        "FROM orders",
    )
    send_by_ms = {row["order_id"]: row["send_by_ms"] for row in rows}
    return [
        report.client_order_id
        for report in (await records.theirs()).orders
        if report.status != "rejected" and report.placed_at_ms > send_by_ms[report.client_order_id]
    ]


async def never_struck(
    exchange: httpx.AsyncClient, lives: Mapping[Account, list[Life]]
) -> list[tuple[Route, str]]:
    """The kinds of fault that struck no call of any of these orders."""
    rules = (await exchange.get("/v1/control/rules")).json()["items"]
    fired = {one["id"] for one in rules if one["fired"]}
    struck_kinds = {
        (one.case.route, one.case.action)
        for own in lives.values()
        for one in own
        if one.rule in fired
    }
    return [kind for kind in KINDS if kind not in struck_kinds]
