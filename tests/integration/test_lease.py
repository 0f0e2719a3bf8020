"""The lease against a real NATS. Whatever happens, no two own it at once."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import pytest

from brokerage.bus.connection import Bus, open_bus
from brokerage.bus.lease import Lease, LeaseTiming
from brokerage.contracts.subjects import LEASES_BUCKET
from tests.support.eventually import eventually
from tests.support.feeds import PATIENT, STEADY, vacate
from tests.support.nats_server import NatsServer, nats_server
from tests.support.proxy import proxy_to

KEY = "job"
RENEWALS = 2 + int(STEADY.length_seconds / STEADY.renew_seconds)
"""What takes longer than the lease lasts."""


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[NatsServer]:
    async with nats_server(tmp_path) as server:
        yield server


@pytest.fixture
async def bus(server: NatsServer) -> AsyncIterator[Bus]:
    async with open_bus(server.url, "test") as bus:
        yield bus


class Candidate:
    """One who wants the lease for ever, as the feed does; `terms` counts how often it had it."""

    def __init__(self, bus: Bus, holder: str, timing: LeaseTiming | None = None) -> None:
        self.failures = 0
        self.terms = 0
        self.lease = Lease(bus, KEY, holder, timing, self._failed)

    def _failed(self) -> None:
        self.failures += 1

    async def run(self) -> None:
        try:
            while True:
                await self.lease.acquire()
                self.terms += 1
                await self.lease.keep()
        finally:
            await self.lease.release()


@contextmanager
def never_two(tasks: asyncio.TaskGroup, *candidates: Candidate) -> Iterator[None]:
    """Look at every turn of the loop, as long as the block."""
    most = 0

    def look() -> None:
        nonlocal most
        most = max(most, sum(one.lease.held for one in candidates))

    async def look_for_ever() -> None:
        while True:
            look()
            await asyncio.sleep(0.001)

    looking = tasks.create_task(look_for_ever())
    yield
    look()
    looking.cancel()
    assert most <= 1


def owner_among(*candidates: Candidate) -> Candidate | None:
    owners = [one for one in candidates if one.lease.held]
    return owners[0] if owners else None


async def test_one_of_two_gets_it_and_keeps_it(server: NatsServer) -> None:
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        buses = [await stack.enter_async_context(open_bus(server.url, "test")) for _ in range(2)]
        await vacate(buses[0], KEY)
        one, two = (Candidate(bus, f"holder-{number}", STEADY) for number, bus in enumerate(buses))
        runs = [tasks.create_task(one.run()), tasks.create_task(two.run())]
        with never_two(tasks, one, two):
            await eventually(lambda: owner_among(one, two) is not None, "one of them owns it")
            owner = owner_among(one, two)
            revision = await revision_of(buses[0])

            async def renewed_often() -> bool:
                return await revision_of(buses[0]) > revision + RENEWALS

            await eventually(renewed_often, "it is renewed for longer than its length")
            assert owner_among(one, two) is owner
            assert one.terms + two.terms == 1
        for run in runs:
            run.cancel()


async def test_owner_that_renews_no_more_has_stopped_before_the_next_one_starts(
    server: NatsServer, bus: Bus
) -> None:
    await vacate(bus, KEY)
    first = Candidate(bus, "first", STEADY)
    await first.lease.acquire()
    assert first.lease.held

    second = Candidate(bus, "second", STEADY)
    async with asyncio.TaskGroup() as tasks:
        with never_two(tasks, first, second):
            await second.lease.acquire()

    assert second.lease.held


async def test_lease_given_back_goes_to_the_next_at_once(server: NatsServer, bus: Bus) -> None:
    await vacate(bus, KEY)
    first, second = Candidate(bus, "first", PATIENT), Candidate(bus, "second", PATIENT)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(first.run())
        await eventually(lambda: first.lease.held, "the first owns it")
        waiting = tasks.create_task(second.run())
        await eventually(lambda: second.lease.watched, "the second watches it")

        running.cancel()

        await eventually(lambda: second.lease.held, "the second owns it without waiting")
        assert not first.lease.held
        waiting.cancel()


async def test_lease_that_somebody_else_wrote_is_lost_at_once(server: NatsServer, bus: Bus) -> None:
    await vacate(bus, KEY)
    lease = Lease(bus, KEY, "first", PATIENT)
    await lease.acquire()

    bucket = await bus.jetstream.key_value(LEASES_BUCKET)
    await bucket.put(KEY, b"another")
    async with asyncio.timeout(PATIENT.length_seconds / 2):
        await lease.keep()

    assert not lease.held
    assert (await bucket.get(KEY)).value == b"another"


async def test_what_was_lost_is_not_given_back(server: NatsServer, bus: Bus) -> None:
    await vacate(bus, KEY)
    lease = Lease(bus, KEY, "first", PATIENT)
    await lease.acquire()
    bucket = await bus.jetstream.key_value(LEASES_BUCKET)
    await bucket.put(KEY, b"another")

    await lease.release()

    assert not lease.held
    assert (await bucket.get(KEY)).value == b"another"


async def test_renewal_whose_answer_was_lost_is_no_loss(server: NatsServer) -> None:
    async with proxy_to(server.url) as way, open_bus(way.url, "test") as bus:
        await vacate(bus, KEY)
        # It outlasts every pause here; a renewal is given up soon.
        owner = Candidate(bus, "first", LeaseTiming(length_seconds=60.0))
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(owner.run())
            await eventually(lambda: owner.lease.held, "it is owned")

            way.hold(answers_only=True)
            await eventually(lambda: owner.failures > 0, "a renewal had no answer")
            way.let_go()
            async with open_bus(server.url, "test") as other:
                revision = await revision_of(other)

                async def renewed() -> bool:
                    return await revision_of(other) > revision + 2

                await eventually(renewed, "it is renewed again")
            assert owner.lease.held
            assert owner.terms == 1
            running.cancel()


async def test_owner_that_is_cut_off_stops_by_itself_and_stands_by_when_it_is_back(
    server: NatsServer, bus: Bus
) -> None:
    await vacate(bus, KEY)
    async with (
        proxy_to(server.url) as way,
        open_bus(way.url, "test") as cut_off,
        asyncio.TaskGroup() as tasks,
    ):
        one, two = Candidate(cut_off, "one", STEADY), Candidate(bus, "two", STEADY)
        runs = [tasks.create_task(one.run())]
        await eventually(lambda: one.lease.held, "the first owns it")
        runs.append(tasks.create_task(two.run()))
        with never_two(tasks, one, two):
            way.hold()
            await eventually(lambda: two.lease.held, "the second took over")
            assert one.failures > 0

            # What it had sent meanwhile arrives only now.
            way.let_go()
            await eventually(lambda: one.lease.watched, "the first watches again")
            assert (one.terms, two.terms) == (1, 1)
            assert two.lease.held
        for run in runs:
            run.cancel()


async def test_lease_survives_a_nats_that_froze_and_one_that_forgot_everything(
    server: NatsServer,
) -> None:
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        buses = [await stack.enter_async_context(open_bus(server.url, "test")) for _ in range(2)]
        one, two = (Candidate(bus, f"holder-{number}") for number, bus in enumerate(buses))
        runs = [tasks.create_task(one.run()), tasks.create_task(two.run())]
        with never_two(tasks, one, two):
            await eventually(lambda: owner_among(one, two) is not None, "one of them owns it")

            server.pause()
            await eventually(lambda: owner_among(one, two) is None, "nobody owns it any more")
            server.resume()
            await eventually(lambda: owner_among(one, two) is not None, "one owns it again")

            terms = one.terms + two.terms
            await server.kill()
            await server.start()
            await eventually(
                lambda: one.terms + two.terms > terms and owner_among(one, two) is not None,
                "one owns what the new store says",
            )
        for run in runs:
            run.cancel()


async def test_empty_store_is_waited_for_because_it_may_have_forgotten_an_owner(
    server: NatsServer, bus: Bus
) -> None:
    await vacate(bus, KEY)
    # Longer than a server takes to come back on a busy machine.
    timing = LeaseTiming(length_seconds=15.0)
    first, second = Candidate(bus, "first", timing), Candidate(bus, "second", timing)
    await first.lease.acquire()
    await server.kill()
    await server.start()
    await eventually(lambda: bus.connected, "the bus is back")
    assert first.lease.held, "by what the store said before"

    async with asyncio.TaskGroup() as tasks:
        with never_two(tasks, first, second):
            await second.lease.acquire()

    assert second.lease.held


async def revision_of(bus: Bus) -> int:
    bucket = await bus.jetstream.key_value(LEASES_BUCKET)
    return (await bucket.get(KEY)).revision or 0
