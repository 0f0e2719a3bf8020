"""The kill switch while what it stands on, or all that it does without, is away."""

import asyncio
import dataclasses
import json
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from itertools import count
from uuid import uuid4

import httpx
import msgspec
import pytest

from brokerage.bus.connection import Bus, BusUnavailable, open_bus
from brokerage.bus.kill_switch import create_switch, new_act, open_kill_switch, read_switch
from brokerage.contracts.gateway import CancelRequest, PlaceRequest
from brokerage.contracts.kill_switch import SUBJECTS_MAX
from brokerage.contracts.subjects import KILL_SWITCH_BUCKET, entered_subject
from brokerage.gateway.client import GatewayClient
from brokerage.gateway.egress import TRIP_COUNT
from devstack.stack import DevStack
from tests.support.accounts import Account
from tests.support.eventually import eventually
from tests.support.exchange_rules import exchange_of, recorded
from tests.support.kill_switch import set_at_last, set_level, switched
from tests.support.nats_server import NatsServer
from tests.support.price_watch import killed
from tests.support.running import ROOT, inherited
from tests.support.trading import RESTING, Order, cancelled, ended, place, placed


@pytest.fixture
async def bus(stack: DevStack) -> AsyncIterator[Bus]:
    async with open_bus(stack.env["SHERWOOD_NATS_URL"], "test") as bus:
        yield bus


async def refused(alice: Account, body: Order = RESTING, *, because: str = "") -> httpx.Response:
    """The refusal of an order, once there is one whose detail says `because`."""

    async def attempt() -> httpx.Response:
        answer = await place(alice, body)
        assert answer.status_code == 503, answer.text
        assert answer.json()["code"] == "kill-switch", answer.text
        assert because in answer.json()["detail"], answer.text
        return answer

    answer: httpx.Response = await eventually(attempt, "orders are refused by the kill switch")
    return answer


async def by_command(stack: DevStack, *arguments: str) -> tuple[int, str, str]:
    """What `python -m workers.kill_switch` answers."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "workers.kill_switch",
        *arguments,
        env={**inherited(), "SHERWOOD_NATS_URL": stack.env["SHERWOOD_NATS_URL"]},
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, error = await process.communicate()
    return process.returncode or 0, out.decode(), error.decode()


async def set_by_command(stack: DevStack, level: int, reason: str) -> str:
    """What it answers once it has set everybody's level; each attempt is an act of its own."""
    attempts = count(1)

    async def attempt() -> str:
        change = ("--level", str(level), "--reason", f"{reason}, attempt {next(attempts)}")
        status, said, error = await by_command(stack, *change, "--operator", "olivia")
        assert status == 0, error
        return said

    said: str = await eventually(attempt, f"everybody's level is {level}", 60)
    return said


# First, because after NATS was away nothing trips for a while.
async def test_a_runaway_sender_stops_itself_at_the_gateway(
    operator: Account, alice: Account, bus: Bus
) -> None:
    gateway = GatewayClient(bus)
    try:

        async def tripped() -> dict[str, object]:
            for _ in range(TRIP_COUNT):
                request = PlaceRequest(
                    f"runaway-{uuid4()}", "account", "QQQ", "buy", 100, 1, "day", 2**50
                )
                assert (await gateway.place(request)).outcome == "declined"
            shown = (await operator.http.get("/ops/kill-switch")).json()
            assert shown["symbols"].get("QQQ") == 1
            act: dict[str, object] = shown["lastAct"]
            return act

        act = await eventually(tripped, "the symbol is switched", 60)
        await refused(alice, RESTING | {"symbol": "QQQ"})
        await placed(alice, RESTING)
    finally:
        await set_at_last(operator, 0, symbol="QQQ")

    assert act["operator"] == "gateway"


async def test_who_cannot_read_it_takes_no_order_and_what_was_set_outlives_nats(
    stack: DevStack, operator: Account, alice: Account, bus: Bus
) -> None:
    stack.pause("nats")
    try:
        frozen = await refused(alice)
    finally:
        stack.resume("nats")
    order = await placed(alice, RESTING)
    async with switched(operator, 1, user=alice.user):
        await killed(stack, "nats")

        async def kept() -> bool:
            with suppress(BusUnavailable):
                return (await read_switch(bus)).users.get(alice.user) == 1
            return False

        await eventually(kept, "NATS has what was set")
        # For want of knowing at first; then because it is known again.
        await refused(alice, because="operator")
        await cancelled(alice, order["id"])

    assert frozen.headers["retry-after"] == "1"
    await placed(alice, RESTING)


async def test_a_process_knows_within_two_seconds_that_it_does_not_know(nats: NatsServer) -> None:
    first = new_act("global", "", 0, operator="olivia", address="", reason="a test")
    async with open_bus(nats.url, "test") as bus, open_kill_switch(bus) as switch:
        await eventually(lambda: switch.is_absent, "it sees that there is none")
        await create_switch(bus, first)
        await eventually(lambda: switch.switches is not None, "it hears of the first")
        nats.pause()
        await eventually(lambda: switch.switches is None, "it knows that it does not know")
        assert not switch.is_absent
        nats.resume()
        await eventually(lambda: switch.switches is not None, "it knows again")
        await nats.kill()
        await eventually(lambda: switch.switches is None, "it knows that it does not know")
        await nats.start()
        await eventually(lambda: switch.switches is not None, "it knows again")
        assert switch.switches is not None
        assert switch.switches.act == first


async def test_lost_with_the_store_it_is_closed_until_everybodys_level_is_set(
    stack: DevStack, operator: Account, alice: Account, bus: Bus
) -> None:
    order = await placed(alice, RESTING)
    await bus.jetstream.delete_stream(f"KV_{KILL_SWITCH_BUCKET}")
    try:
        await refused(alice)

        async def absent() -> dict[str, object]:
            shown: dict[str, object] = (await operator.http.get("/ops/kill-switch")).json()
            assert shown["absent"], shown
            return shown

        shown = await eventually(absent, "it is known to be absent")

        async def of_one_user() -> httpx.Response:
            answer = await set_level(operator, 1, user=alice.user)
            assert answer.status_code != 503, answer.text
            return answer

        of_one = await eventually(of_one_user, "NATS has answered")

        async def not_shown() -> None:
            status, _, said = await by_command(stack)
            assert (status, "set everybody's level first" in said) == (1, True), said

        await eventually(not_shown, "the command says what to do", 60)
        gateway = GatewayClient(bus)

        async def closed() -> bool:
            request = PlaceRequest("o1", "account", "IBM", "buy", 100, 1, "day", 2**50)
            await bus.publish(entered_subject("o1"), msgspec.json.encode(request))
            return (await gateway.place(request)).code == "kill-switch-unread"

        await eventually(closed, "the gateway is closed too")

        async def passes() -> bool:
            return (await gateway.cancel(CancelRequest("never-placed", None))).outcome == "absent"

        await eventually(passes, "a cancel passes the gateway")
        await cancelled(alice, order["id"])
    finally:
        released = await set_at_last(operator, 0)

    assert (shown["readable"], shown["absent"], shown["level"]) == (False, True, None)
    assert (of_one.status_code, of_one.json()["code"]) == (409, "kill-switch-absent")
    assert released.json()["lastAct"]["before"] is None
    await placed(alice, RESTING)


async def test_as_many_may_be_switched_and_no_more(
    stack: DevStack, operator: Account, bus: Bus
) -> None:
    before = await read_switch(bus)
    crowd = {f"crowd-{number}": 1 for number in range(SUBJECTS_MAX)}
    subject = f"$KV.{KILL_SWITCH_BUCKET}.state"
    full = msgspec.json.encode(dataclasses.replace(before, users=crowd))
    await bus.jetstream.publish(subject, full)
    try:
        one_more = await set_level(operator, 1, user="alice")
        another_level = await set_level(operator, 2, user="crowd-0")
    finally:
        await bus.jetstream.publish(subject, msgspec.json.encode(before))

    assert (one_more.status_code, one_more.json()["code"]) == (409, "kill-switch-full")
    assert another_level.status_code == 200


async def test_level_2_needs_neither_temporal_nor_postgres(
    stack: DevStack, operator: Account, alice: Account
) -> None:
    orders = [await placed(alice, RESTING) for _ in range(3)]
    async with exchange_of(stack) as exchange:
        await stack.stop("temporal")
        await stack.stop("postgres")
        try:
            switches = json.loads(await set_by_command(stack, 2, f"a test for {alice.user}"))
            assert switches["everybody"] == 2
            for order in orders:

                async def gone(order_id: str = order["id"]) -> bool:
                    there = await recorded(exchange, order_id)
                    return there is not None and there["status"] == "cancelled"

                await eventually(gone, "the exchange has cancelled it")
        finally:
            await stack.start("postgres")
            await stack.start("temporal")
            await set_by_command(stack, 0, "over")
    for order in orders:
        await ended(alice, order["id"], "cancelled")

    async def recorded_act() -> dict[str, object]:
        acts = (await operator.http.get("/ops/acts")).json()["items"]
        reason = switches["act"]["reason"]
        found: list[dict[str, object]] = [act for act in acts if act["reason"] == reason]
        assert len(found) == 1
        return found[0]

    act = await eventually(recorded_act, "the act is on record")
    assert (act["act"], act["operator"], act["after"]) == ("kill-switch global", "olivia", 2)


async def test_the_command_says_what_is_wrong_with_what_it_is_asked(stack: DevStack) -> None:
    for arguments, why in (
        (("--level", "1"), "a change needs a --reason"),
        (("--level", "1", "--scope", "user", "--reason", "why"), "--subject names"),
    ):
        status, _, said = await by_command(stack, *arguments)
        assert status != 0
        assert why in said
