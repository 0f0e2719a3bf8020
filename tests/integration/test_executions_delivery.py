"""Reports through real JetStream to workflows on a real Temporal server."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest
from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from brokerage.bus.connection import Bus, open_bus
from brokerage.bus.execution_log import ExecutionLog, LogEntry
from brokerage.bus.execution_streams import execution_streams
from brokerage.bus.executions import ExecutionReader, Parking
from brokerage.bus.streams import ensure_streams
from brokerage.contracts.commands import StartOrder
from brokerage.contracts.events import ExecutionReport
from brokerage.contracts.gateway import ExternalOrder, GatewayReply
from brokerage.contracts.ids import ORDERS_TASK_QUEUE, workflow_id_for
from brokerage.contracts.subjects import (
    DEAD_STREAM,
    GATEWAY_QUERY,
    PARKED_STREAM,
    execution_subject,
    route_subject,
)
from brokerage.domain.orders import Order
from brokerage.gateway.client import GatewayClient
from brokerage.runtime.tasks import TaskSet
from brokerage.storage.reads import Route
from streaming.executions import Executions
from streaming.intake import fetch_reports
from streaming.order_workflows import OrderWorkflows
from streaming.parking import ParkedOrders, Release
from streaming.routes import Routes
from tests.support.eventually import eventually
from tests.support.execution_log import stored
from tests.support.nats_server import NatsServer, nats_server
from tests.support.order_that_books import Books, OrderThatBooks
from tests.support.orders import an_order
from tests.support.temporal_server import temporal_server


@pytest.fixture(scope="session")
async def temporal() -> AsyncIterator[Client]:
    async with temporal_server() as address:

        async def connect() -> Client:
            try:
                return await Client.connect(address)
            except RuntimeError as error:
                raise AssertionError(str(error)) from error

        yield await eventually(connect, "Temporal answers")


@dataclass
class World:
    """One executions process, in this one, and what it works with."""

    nats: NatsServer
    bus: Bus
    temporal: Client
    books: Books
    executions: Executions
    release: Release
    known: dict[str, Route]
    rows: dict[str, Route]
    exchange: list[GatewayReply]
    seq: int = 0

    async def report(self, external: str, *, kind: str = "fill", reason: str | None = None) -> str:
        """Publish as the feed does; returns the report's id."""
        self.seq += 1
        report_id = f"e{self.seq}" if kind == "fill" else f"end:{external}"
        report = ExecutionReport(
            report_id,
            "fill" if kind == "fill" else "end",
            external,
            self.seq,
            "META",
            1,
            100,
            1,
            1_000,
            reason=reason,
        )
        entry = LogEntry(
            execution_subject(kind, external),
            msgspec.json.encode(report),
            report_id,
            self.seq,
            "session",
        )
        await stored(ExecutionLog(self.bus), [entry])
        return report_id

    async def order(self, external: str | None = None) -> Route:
        """An order whose workflow runs; with `external`, its mapping is written down."""
        route = Route(str(uuid4()), "ann")
        await self.temporal.start_workflow(
            "OrderWorkflow",
            StartOrder(route.order_id, route.user_id),
            id=workflow_id_for(route.order_id),
            task_queue=ORDERS_TASK_QUEUE,
        )
        self.rows[route.order_id] = route
        if external is not None:
            self.known[external] = route
        return route

    async def waiting(self) -> int:
        return (await execution_streams(self.bus)).waiting

    async def all_acknowledged(self) -> bool:
        return await self.waiting() == 0

    async def count(self, stream: str) -> int:
        return (await self.bus.jetstream.stream_info(stream)).state.messages


@asynccontextmanager
async def world(
    folder: Path,
    temporal: Client,
    *,
    look_seconds: float = 3_600,
    grace_seconds: float = 30,
    attempt_seconds: float = 5,
) -> AsyncIterator[World]:
    stopping = asyncio.Event()
    async with nats_server(folder) as nats, open_bus(nats.url, "executions") as bus:
        await ensure_streams(bus)
        known: dict[str, Route] = {}
        rows: dict[str, Route] = {}
        exchange = [GatewayReply("unknown", code="away")]

        async def of_external(external_order_id: str) -> Route | None:
            return known.get(external_order_id)

        async def of_order(order_id: str) -> Route | None:
            return rows.get(order_id)

        async def row(user_id: str, order_id: str) -> Order:
            return an_order(user_id=user_id, order_id=order_id)

        parked, parking = ParkedOrders(), Parking(bus)
        executions = Executions(
            Routes(of_external, of_order, partial(GatewayClient(bus).query, timeout_seconds=30.0)),
            OrderWorkflows(temporal, row, attempt_seconds),
            parking,
            parked.add,
            grace_seconds=grace_seconds,
        )
        release = Release(parking, executions, parked, look_seconds)
        async with TaskSet() as tasks:

            def answer(payload: bytes, respond: Callable[[bytes], object]) -> None:
                tasks.spawn(_respond(respond, exchange[0]), "answer")

            await bus.serve(GATEWAY_QUERY, "gateway", answer)
            await bus.subscribe(route_subject("*"), release.noticed)
            tasks.spawn(executions.keep(), "keep")
            tasks.spawn(release.run(), "release")
            fetching = tasks.spawn(
                fetch_reports(ExecutionReader(bus), executions, stopping), "fetch"
            )
            yield World(nats, bus, temporal, Books(), executions, release, known, rows, exchange)
            stopping.set()
            await asyncio.wait({fetching})
            await executions.close(1)


async def _respond(respond: Callable[[bytes], object], reply: GatewayReply) -> None:
    answered = respond(msgspec.json.encode(reply))
    assert asyncio.iscoroutine(answered)
    await answered


def worker(here: World) -> Worker:
    return Worker(
        here.temporal,
        task_queue=ORDERS_TASK_QUEUE,
        workflows=[OrderThatBooks],
        activities=[here.books.book, here.books.adopt],
        workflow_runner=UnsandboxedWorkflowRunner(),
    )


async def test_reports_are_booked_by_their_orders_and_then_acknowledged(
    tmp_path: Path, temporal: Client
) -> None:
    async with world(tmp_path, temporal) as here, worker(here):
        for number in range(10):
            await here.order(f"X{number}")
        sent = [await here.report(f"X{number % 10}") for number in range(40)]

        await eventually(here.all_acknowledged, "all are acknowledged")

    assert sorted(here.books.booked) == sorted(sent)
    assert here.books.adopted == []


async def test_reports_after_the_end_reopen_the_order_every_time(
    tmp_path: Path, temporal: Client
) -> None:
    async with world(tmp_path, temporal) as here, worker(here):
        route = await here.order("X1")
        handle = here.temporal.get_workflow_handle(workflow_id_for(route.order_id))
        await here.report("X1", kind="end")
        await handle.result()

        await here.report("X1")
        await eventually(lambda: here.books.adopted == [route.order_id], "it is reopened")
        await here.report("X1", kind="fill")
        await eventually(here.all_acknowledged, "all are acknowledged")

    assert sorted(here.books.booked) == ["e2", "e3", "end:X1"]


async def test_an_order_without_any_workflow_is_adopted(tmp_path: Path, temporal: Client) -> None:
    async with world(tmp_path, temporal) as here, worker(here):
        route = here.known["X1"] = Route(str(uuid4()), "ann")

        await here.report("X1")
        await eventually(here.all_acknowledged, "it is acknowledged")

    assert here.books.booked == ["e1"]
    assert here.books.adopted == [route.order_id]


async def test_an_update_that_its_run_left_unfinished_is_told_to_the_next_run(
    tmp_path: Path, temporal: Client
) -> None:
    async with world(tmp_path, temporal, attempt_seconds=3) as here, worker(here):
        route = await here.order("X1")

        await here.report("X1", kind="end", reason="never")
        await eventually(lambda: route.order_id in here.books.adopted, "it is reopened")

        assert await here.waiting() == 1
    # Nobody else's worker shall go on with it.
    with suppress(RPCError):
        await temporal.get_workflow_handle(workflow_id_for(route.order_id)).terminate()


async def test_without_workers_reports_wait_and_are_booked_when_one_comes(
    tmp_path: Path, temporal: Client
) -> None:
    async with world(tmp_path, temporal, attempt_seconds=0.5) as here:
        await here.order("X1")
        await here.report("X1")
        await eventually(lambda: here.executions.held == 1, "it is held")

        async with worker(here):
            await eventually(here.all_acknowledged, "it is acknowledged", 60)

        assert await here.count(DEAD_STREAM) == await here.count(PARKED_STREAM) == 0
    assert here.books.booked == ["e1"]


async def test_a_report_before_the_mapping_is_parked_and_released_by_the_notice(
    tmp_path: Path, temporal: Client
) -> None:
    async with world(tmp_path, temporal) as here, worker(here):
        route = await here.order()
        await here.report("X1")

        async def parked() -> bool:
            return await here.count(PARKED_STREAM) == 1 and not here.executions.busy("X1")

        await eventually(parked, "it is parked")
        await eventually(here.all_acknowledged, "it is acknowledged")
        here.known["X1"] = route
        await here.bus.publish(route_subject("X1"), b"")
        await eventually(lambda: here.books.booked == ["e1"], "it is booked")

        async def unparked() -> bool:
            return await here.count(PARKED_STREAM) == 0

        await eventually(unparked, "it is gone from the parking")


async def test_a_lost_notice_is_caught_by_the_look(tmp_path: Path, temporal: Client) -> None:
    async with world(tmp_path, temporal, look_seconds=0.3) as here, worker(here):
        route = await here.order()
        await here.report("X1")

        async def parked() -> bool:
            return await here.count(PARKED_STREAM) == 1

        await eventually(parked, "it is parked")
        here.known["X1"] = route

        await eventually(lambda: here.books.booked == ["e1"], "it is booked")


async def test_the_exchange_names_the_order_before_the_mapping_is_written(
    tmp_path: Path, temporal: Client
) -> None:
    async with world(tmp_path, temporal) as here, worker(here):
        route = await here.order()
        here.exchange[0] = GatewayReply("found", ExternalOrder("X1", route.order_id, "filled", 1))

        await here.report("X1")
        await eventually(here.all_acknowledged, "it is acknowledged")

        assert here.books.booked == ["e1"]
        assert await here.count(PARKED_STREAM) == 0


async def test_what_the_exchange_attributes_to_nobody_of_ours_ends_as_a_dead_letter(
    tmp_path: Path, temporal: Client
) -> None:
    async with world(tmp_path, temporal, look_seconds=0.2, grace_seconds=0.5) as here:
        here.exchange[0] = GatewayReply("absent", code="unknown-order")

        await here.report("X1")

        async def dead() -> bool:
            return await here.count(DEAD_STREAM) == 1 and await here.count(PARKED_STREAM) == 0

        await eventually(dead, "it is dead")
        message = await here.bus.jetstream.get_msg(DEAD_STREAM, subject="dead.X1")
        assert message.headers is not None
        assert message.headers["Sherwood-Reason"] == "unknown-at-exchange"
        await eventually(here.all_acknowledged, "it is acknowledged")


async def test_a_crash_of_nats_loses_no_report(tmp_path: Path, temporal: Client) -> None:
    async with world(tmp_path, temporal) as here, worker(here):
        await here.order("X1")
        await here.order("X2")
        sent = [await here.report("X1")]
        await eventually(lambda: here.books.booked == sent, "the first is booked")

        await here.nats.kill()
        await here.nats.start()
        await eventually(lambda: here.bus.connected, "the bus is back")
        sent += [await here.report(f"X{1 + number % 2}") for number in range(10)]
        await eventually(here.all_acknowledged, "all are acknowledged")

    assert set(here.books.booked) == set(sent)
