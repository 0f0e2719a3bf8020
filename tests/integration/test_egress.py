"""The check of what leaves: two gateways over one real NATS, and an exchange that remembers."""

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from functools import partial

import msgspec
import pytest
from nats.js.errors import NotFoundError

from brokerage.bus.connection import Bus, open_bus
from brokerage.bus.egress import open_entries
from brokerage.contracts.gateway import GatewayReply, PlaceRequest
from brokerage.contracts.kill_switch import Scope
from brokerage.contracts.subjects import EGRESS_BUCKET, entered_subject
from brokerage.gateway.batching import PlacementBatcher
from brokerage.gateway.egress import ATTEMPTS_MAX, TRIP_COUNT, Egress
from tests.support.eventually import eventually
from tests.support.nats_server import NatsServer

CLAIM_SECONDS = 60
"""So long that no pause of the machine ends it."""
DEAD_SECONDS = 5
"""How long a claim outlives its gateway where a test waits for that."""


class Exchange:
    """Answers with `outcome`, once it may."""

    def __init__(self) -> None:
        self.placed: list[str] = []
        self.outcome = "accepted"
        self.answers = asyncio.Event()
        self.answers.set()

    async def place(self, requests: Sequence[PlaceRequest]) -> list[GatewayReply]:
        self.placed += [request.client_order_id for request in requests]
        await self.answers.wait()
        reply = msgspec.convert({"outcome": self.outcome}, GatewayReply)
        return [reply] * len(requests)


class Gateway:
    """One gateway's way out. It can be ended as a crash would."""

    def __init__(self, bus: Bus, batcher: PlacementBatcher, sending: asyncio.Task[None]) -> None:
        self.bus = bus
        self.place = batcher.place
        self.sending = sending


class Scene:
    """Gateways, what they tripped, and whoever enters orders."""

    def __init__(self, nats: NatsServer, stack: AsyncExitStack, bus: Bus) -> None:
        self._nats = nats
        self._stack = stack
        self.bus = bus
        self.exchange = Exchange()
        self.trips: list[tuple[Scope, str]] = []

    async def gateway(self, claim_seconds: int = CLAIM_SECONDS) -> Gateway:
        bus = await self._stack.enter_async_context(open_bus(self._nats.url, "gateway"))
        entries = await self._stack.enter_async_context(open_entries(bus, claim_seconds))
        await bus.flush()

        async def trip(scope: Scope, subject: str, reason: str) -> None:
            self.trips.append((scope, subject))

        batcher = PlacementBatcher(
            self.exchange.place,
            lambda: time.time_ns() // 1_000_000,
            egress=Egress(entries, trip, lambda: True),
        )
        sending = asyncio.get_running_loop().create_task(batcher.run())
        self._stack.callback(sending.cancel)
        return Gateway(bus, batcher, sending)

    async def enter(self, *requests: PlaceRequest) -> None:
        for request in requests:
            subject = entered_subject(request.client_order_id)
            await self.bus.publish(subject, msgspec.json.encode(request))
        await self.bus.flush()


@pytest.fixture
async def scene(nats: NatsServer) -> AsyncIterator[Scene]:
    async with AsyncExitStack() as stack:
        bus = await stack.enter_async_context(open_bus(nats.url, "worker"))
        yield Scene(nats, stack, bus)


def an_order(name: str, symbol: str = "META") -> PlaceRequest:
    send_by_ms = time.time_ns() // 1_000_000 + 60_000
    return PlaceRequest(name, "account", symbol, "buy", 52_210, 10, "day", send_by_ms)


def code_of(reply: GatewayReply) -> tuple[str, str | None]:
    return reply.outcome, reply.code


async def accepted(gateway: Gateway, order: PlaceRequest) -> None:
    """Return once the order is out: a message may be behind the request."""

    async def attempt() -> None:
        reply = await gateway.place(order)
        assert reply.outcome == "accepted", reply

    await eventually(attempt, "the order is out")


async def test_an_order_leaves_with_the_terms_of_its_row_and_no_others(scene: Scene) -> None:
    gateway = await scene.gateway()
    order = an_order("o1")

    await eventually_code(gateway, order, "not-entered")
    await scene.enter(order)
    more = dataclasses.replace(order, shares=1_000)
    await eventually_code(gateway, more, "terms-not-entered")
    await accepted(gateway, order)

    assert scene.exchange.placed == ["o1"]


async def test_of_two_gateways_one_has_an_order_in_hand_until_it_is_answered(scene: Scene) -> None:
    one, other = await scene.gateway(), await scene.gateway()
    order = an_order("o1")
    await scene.enter(order)
    scene.exchange.answers.clear()
    async with asyncio.TaskGroup() as tasks:
        placing = tasks.create_task(one.place(order))
        await eventually(lambda: scene.exchange.placed == ["o1"], "it is under way")

        await eventually_code(other, order, "already-live")
        assert scene.exchange.placed == ["o1"]
        # What became of it is not known: it may be sent again, and no later than at once.
        scene.exchange.outcome = "unknown"
        scene.exchange.answers.set()
        assert (await placing).outcome == "unknown"
    scene.exchange.outcome = "accepted"
    await accepted(other, order)
    assert scene.exchange.placed == ["o1", "o1"]


async def test_an_order_of_a_gateway_that_died_is_free_after_a_moment(scene: Scene) -> None:
    one, other = await scene.gateway(DEAD_SECONDS), await scene.gateway()
    order = an_order("o1")
    await scene.enter(order)
    scene.exchange.answers.clear()
    async with asyncio.TaskGroup() as tasks:
        placing = tasks.create_task(one.place(order))
        await eventually(lambda: scene.exchange.placed == ["o1"], "it is under way")
        placing.cancel()
        one.sending.cancel()
    scene.exchange.answers.set()
    assert code_of(await other.place(order)) == ("declined", "already-live")
    await accepted(other, order)


async def test_nats_that_forgot_everything_costs_no_order(scene: Scene, nats: NatsServer) -> None:
    gateway = await scene.gateway()
    first = an_order("o1")
    await scene.enter(first)
    await accepted(gateway, first)
    await nats.kill()
    assert code_of(await gateway.place(first)) == ("declined", "egress-unread")
    await nats.start()
    order = an_order("o2")

    async def entered_and_accepted() -> None:
        # As a workflow does that goes on asking.
        await scene.enter(order)
        reply = await gateway.place(order)
        assert reply.outcome == "accepted", reply

    await eventually(entered_and_accepted, "the order is out")


async def test_what_another_heard_is_found_in_the_bucket(scene: Scene) -> None:
    await accepted_by_first_gateway(scene)
    order = an_order("o2")
    await scene.enter(order)

    async def stored() -> bool:
        try:
            await scene.bus.jetstream.get_last_msg(f"KV_{EGRESS_BUCKET}", entered_subject("o2"))
        except NotFoundError:
            return False
        return True

    await eventually(stored, "it is in the bucket")
    await accepted(await scene.gateway(), order)


async def accepted_by_first_gateway(scene: Scene) -> None:
    """The first placement makes the bucket."""
    first = an_order("o1")
    gateway = await scene.gateway()
    await scene.enter(first)
    await accepted(gateway, first)


async def test_a_loop_of_one_order_is_stopped(scene: Scene) -> None:
    gateway = await scene.gateway()
    order = an_order("o1")
    await scene.enter(order)
    scene.exchange.outcome = "unknown"
    await eventually_code(gateway, order, "too-many-attempts")

    assert len(scene.exchange.placed) <= ATTEMPTS_MAX


@pytest.mark.parametrize(
    ("symbols", "tripped"),
    [(("META",), ("symbol", "META")), (("META", "SPY"), ("global", ""))],
)
async def test_orders_that_nobody_entered_trip_the_switch_of_their_symbol_or_of_all(
    scene: Scene, symbols: tuple[str, ...], tripped: tuple[Scope, str]
) -> None:
    gateway = await scene.gateway()
    orders = [an_order(f"o{n}", symbols[n % len(symbols)]) for n in range(TRIP_COUNT)]
    for order in orders[:-1]:
        await eventually_code(gateway, order, "not-entered")
    assert scene.trips == []
    await eventually_code(gateway, orders[-1], "not-entered")

    assert scene.trips == [tripped]
    assert scene.exchange.placed == []


async def eventually_code(gateway: Gateway, order: PlaceRequest, code: str) -> None:
    async def attempt() -> None:
        assert code_of(await gateway.place(order)) == ("declined", code)

    await eventually(attempt, f"it is declined as {code}")


async def test_after_a_flush_a_subscription_misses_nothing(nats: NatsServer) -> None:
    heard: list[bytes] = []

    def has_heard(count: int) -> bool:
        return len(heard) >= count

    async with open_bus(nats.url, "sender") as sender:
        for number in range(80):
            async with open_bus(nats.url, "listener") as listener:
                await listener.listen(f"flushed.{number}", heard.append)
                await listener.flush()
                await sender.publish(f"flushed.{number}", b"")
                await sender.flush()
                await eventually(partial(has_heard, number + 1), f"{number} is heard")

    assert len(heard) == 80
