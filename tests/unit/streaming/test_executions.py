"""What becomes of a report: settled, parked, buried, and never dropped."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import msgspec

from brokerage.bus.connection import BusUnavailable
from brokerage.bus.executions import Delivery
from brokerage.contracts.events import ExecutionReport
from brokerage.contracts.gateway import ExternalOrder, GatewayReply, QueryRequest
from brokerage.runtime.backoff import Backoff
from brokerage.storage.pool import DatabaseUnavailable
from brokerage.storage.reads import Route
from streaming.executions import Executions
from streaming.order_workflows import NotTold
from streaming.routes import Routes
from tests.support.eventually import eventually

OURS = "0b6cb3b6-9a3e-5a53-8a57-0d2f1a5b0001"
ROUTE = Route(OURS, "ann")


def report(report_id: str, external: str = "X1") -> ExecutionReport:
    return ExecutionReport(report_id, "fill", external, 1, "META", 1, 100, 1, 1_000)


@dataclass
class World:
    """Everything around the reports; each part can be made to fail."""

    known: dict[str, Route] = field(default_factory=dict)
    rows: dict[str, Route] = field(default_factory=dict)
    exchange: GatewayReply = field(default_factory=lambda: GatewayReply("unknown", code="away"))
    queries: int = 0
    told: list[tuple[str, list[str], int]] = field(default_factory=list)
    hears: Callable[[list[str], int], Awaitable[set[str]]] | None = None
    settled: list[str] = field(default_factory=list)
    released: list[str] = field(default_factory=list)
    parked: list[str] = field(default_factory=list)
    dead: list[tuple[str, str]] = field(default_factory=list)
    aside: list[tuple[str, bool]] = field(default_factory=list)
    database_failures: int = 0
    bus_failures: int = 0
    now: float = 1_000.0

    async def of_external(self, external_order_id: str) -> Route | None:
        if self.database_failures:
            self.database_failures -= 1
            raise DatabaseUnavailable
        return self.known.get(external_order_id)

    async def of_order(self, order_id: str) -> Route | None:
        return self.rows.get(order_id)

    async def query(self, request: QueryRequest) -> GatewayReply:
        self.queries += 1
        return self.exchange

    async def fill(
        self, route: Route, reports: Sequence[ExecutionReport], asked: int = 0
    ) -> set[str]:
        ids = [report.report_id for report in reports]
        self.told.append((route.order_id, ids, asked))
        return await self.hears(ids, asked) if self.hears is not None else set(ids)

    async def park(self, delivery: Delivery) -> None:
        if self.bus_failures:
            self.bus_failures -= 1
            raise BusUnavailable
        self.parked.append(delivery.message_id)

    async def bury(self, delivery: Delivery, reason: str) -> None:
        self.dead.append((delivery.message_id, reason))

    def delivery(
        self,
        report_id: str,
        external: str = "X1",
        *,
        parked_at: float | None = None,
        payload: bytes | None = None,
    ) -> Delivery:
        async def settle() -> None:
            self.settled.append(report_id)

        async def release() -> None:
            self.released.append(report_id)

        return Delivery(
            external,
            f"executions.fill.{external}",
            payload or msgspec.json.encode(report(report_id, external)),
            report_id,
            parked_at,
            settle,
            release,
            release,
        )


@asynccontextmanager
async def seeing(world: World, notice_seconds: float = 0.01) -> AsyncIterator[Executions]:
    executions = Executions(
        Routes(world.of_external, world.of_order, world.query),
        world,
        world,
        lambda external, noticed: world.aside.append((external, noticed)),
        notice_seconds=notice_seconds,
        again=Backoff(0.001, 1.0),
        now=lambda: world.now,
    )
    yield executions
    await executions.close(0)


def found(client_order_id: str) -> GatewayReply:
    return GatewayReply("found", ExternalOrder("X1", client_order_id, "open", 1))


async def test_report_of_a_known_order_is_told_and_then_settled() -> None:
    world = World(known={"X1": ROUTE})

    async with seeing(world) as executions:
        await executions.take(world.delivery("e1"))
        await eventually(lambda: world.settled == ["e1"])

    assert world.told == [(OURS, ["e1"], 0)]
    assert executions.held == 0


async def test_only_what_the_workflow_names_as_settled_is_given_up() -> None:
    world = World(known={"X1": ROUTE})
    ready = asyncio.Event()

    async def hears(ids: list[str], asked: int) -> set[str]:
        return set(ids) if ready.is_set() else {"e1"} & set(ids)

    world.hears = hears

    async with seeing(world) as executions:
        await executions.take(world.delivery("e1"))
        await executions.take(world.delivery("e2"))
        await eventually(lambda: len(world.told) >= 3)
        assert world.settled == ["e1"]
        ready.set()
        await eventually(lambda: world.settled == ["e1", "e2"])

    # An update that answered is remembered with its answer: the next one must be another.
    assert len({(tuple(ids), asked) for _, ids, asked in world.told}) == len(world.told)


async def test_reports_of_one_order_go_one_after_the_other_and_those_waiting_together() -> None:
    world = World(known={"X1": ROUTE})
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def hears(ids: list[str], asked: int) -> set[str]:
        begun.set()
        await go_on.wait()
        return set(ids)

    world.hears = hears

    async with seeing(world) as executions:
        await executions.take(world.delivery("e0"))
        await begun.wait()
        for number in range(1, 61):
            await executions.take(world.delivery(f"e{number}"))
        assert len(world.told) == 1
        go_on.set()
        await eventually(lambda: len(world.settled) == 61)

    assert [len(ids) for _, ids, _ in world.told] == [1, 50, 10]


async def test_an_order_that_cannot_be_told_holds_up_no_other() -> None:
    world = World(known={"X1": ROUTE, "X2": Route("other", "bob")})

    async def hears(ids: list[str], asked: int) -> set[str]:
        if ids == ["stuck"]:
            await asyncio.Event().wait()
        return set(ids)

    world.hears = hears

    async with seeing(world) as executions:
        await executions.take(world.delivery("stuck", "X1"))
        await executions.take(world.delivery("e2", "X2"))
        await eventually(lambda: world.settled == ["e2"])
        assert executions.held == 1

    assert world.released == ["stuck"]


async def test_an_engine_that_is_away_is_asked_the_same_again_and_nothing_is_dead() -> None:
    world = World(known={"X1": ROUTE}, database_failures=2)
    failures = [NotTold("unavailable"), NotTold("timeout"), NotTold("unavailable")]

    async def hears(ids: list[str], asked: int) -> set[str]:
        if failures:
            raise failures.pop()
        return set(ids)

    world.hears = hears

    async with seeing(world) as executions:
        await executions.take(world.delivery("e1"))
        await eventually(lambda: world.settled == ["e1"])

    assert [asked for _, _, asked in world.told] == [0, 0, 0, 0]
    assert (world.parked, world.dead) == ([], [])


async def test_an_update_that_failed_is_asked_anew() -> None:
    world = World(known={"X1": ROUTE})

    async def hears(ids: list[str], asked: int) -> set[str]:
        if asked < 2:
            raise NotTold("update-failed", asked_anew=True)
        return set(ids)

    world.hears = hears

    async with seeing(world) as executions:
        await executions.take(world.delivery("e1"))
        await eventually(lambda: world.settled == ["e1"])

    assert [asked for _, _, asked in world.told] == [0, 1, 2]


async def test_a_report_that_beats_the_mapping_waits_for_the_notice() -> None:
    world = World()

    async with seeing(world, notice_seconds=3_600) as executions:
        await executions.take(world.delivery("e1"))
        await eventually(lambda: executions.busy("X1"))
        world.known["X1"] = ROUTE
        assert executions.notice("X1")
        await eventually(lambda: world.settled == ["e1"])

    assert world.queries == 0
    assert world.parked == []


async def test_without_a_notice_the_exchange_says_whose_order_it_is() -> None:
    world = World(rows={OURS: ROUTE}, exchange=found(OURS))

    async with seeing(world) as executions:
        await executions.take(world.delivery("e1"))
        await eventually(lambda: world.settled == ["e1"])
        await executions.take(world.delivery("e2"))
        await eventually(lambda: world.settled == ["e1", "e2"])

    assert world.queries == 1
    assert [ids for _, ids, _ in world.told] == [["e1"], ["e2"]]


async def test_what_cannot_be_resolved_now_is_parked_and_the_original_given_up() -> None:
    for exchange in (
        GatewayReply("unknown", code="gateway-unreachable"),
        GatewayReply("absent"),
        found(OURS),
        found("somebody-else's-id"),
    ):
        world = World(exchange=exchange)

        async with seeing(world) as executions:
            await executions.take(world.delivery("e1"))
            await eventually(lambda world=world: world.aside == [("X1", False)])  # type: ignore[misc]

        assert world.parked == world.settled == ["e1"]
        assert world.dead == []


async def test_parking_is_tried_again_until_it_succeeds() -> None:
    world = World(bus_failures=3)

    async with seeing(world) as executions:
        await executions.take(world.delivery("e1"))
        await eventually(lambda: world.settled == ["e1"])

    assert world.parked == ["e1"]


async def test_a_notice_during_parking_is_passed_on() -> None:
    world = World()
    executions_now: list[Executions] = []
    park = world.park

    async def park_and_notice(delivery: Delivery) -> None:
        await park(delivery)
        executions_now[0].notice("X1")

    world.park = park_and_notice  # type: ignore[method-assign]

    async with seeing(world) as executions:
        executions_now.append(executions)
        await executions.take(world.delivery("e1"))
        await eventually(lambda: world.aside == [("X1", True)])


async def test_a_parked_report_is_settled_once_its_order_is_known() -> None:
    world = World(known={"X1": ROUTE})

    async with seeing(world) as executions:
        await executions.take(world.delivery("e1", parked_at=990.0))
        await eventually(lambda: world.settled == ["e1"])

    assert (world.parked, world.dead) == ([], [])


async def test_a_parked_report_becomes_a_dead_letter_only_by_the_exchanges_word_and_late() -> None:
    cases = [
        (GatewayReply("absent"), 31.0, True),
        (found(OURS), 31.0, True),
        (GatewayReply("absent"), 29.0, False),
        (GatewayReply("unknown", code="gateway-unreachable"), 86_400.0, False),
    ]
    for exchange, age_seconds, dead in cases:
        world = World(exchange=exchange)

        async with seeing(world) as executions:
            await executions.take(world.delivery("e1", parked_at=world.now - age_seconds))
            await eventually(lambda executions=executions: not executions.busy("X1"))  # type: ignore[misc]

        assert ([message for message, _ in world.dead] == ["e1"]) is dead
        assert (world.settled == ["e1"]) is dead
        assert world.parked == []
        assert executions.held == 0


async def test_a_parked_report_is_not_asked_about_when_the_exchange_is_to_be_spared() -> None:
    world = World(exchange=GatewayReply("absent"))

    async with seeing(world) as executions:
        await executions.take(world.delivery("e1", parked_at=1.0), ask=False)
        await eventually(lambda: not executions.busy("X1"))

    assert world.queries == 0
    assert world.dead == []


async def test_a_report_that_cannot_be_read_is_kept_as_a_dead_letter() -> None:
    world = World()

    async with seeing(world) as executions:
        await executions.take(world.delivery("e1", payload=b"{"))

    assert [message for message, _ in world.dead] == ["e1"]
    assert world.settled == ["e1"]


async def test_a_report_that_is_delivered_twice_is_told_once_and_given_up_twice() -> None:
    world = World()
    async with seeing(world, notice_seconds=3_600) as executions:
        await executions.take(world.delivery("e1"))
        await executions.take(world.delivery("e1"))
        await eventually(lambda: executions.busy("X1"))
        world.known["X1"] = ROUTE
        executions.notice("X1")
        await eventually(lambda: world.settled == ["e1", "e1"])

    assert [ids for _, ids, _ in world.told] == [["e1"]]
