"""The gateway over real NATS, against an exchange that misbehaves on demand."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from brokerage.bus.connection import Bus, open_bus
from brokerage.contracts.gateway import CancelRequest, GatewayReply, PlaceRequest, QueryRequest
from brokerage.contracts.subjects import GATEWAY_CANCEL, GATEWAY_PLACE
from brokerage.gateway import batching, service
from brokerage.gateway import exchange as exchange_client
from brokerage.gateway.batching import PlacementBatcher
from brokerage.gateway.client import GatewayClient
from brokerage.gateway.exchange import open_exchange
from brokerage.gateway.service import GatewayService
from exchange import protocol
from exchange.protocol import BATCH_MAX
from tests.support.eventually import eventually
from tests.support.gateway import PATIENCE_SECONDS, definite
from tests.support.nats_server import nats_server
from tests.support.scripted_exchange import (
    Answer,
    Hang,
    Reset,
    Script,
    ScriptedExchange,
    scripted_exchange,
)


@dataclass(frozen=True)
class Gateway:
    """A running gateway and a client of it; setting `stopping` stops it."""

    client: GatewayClient
    exchange: ScriptedExchange
    bus: Bus
    batcher: PlacementBatcher
    stopping: asyncio.Event


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that stands still for a while makes nothing too late."""
    for module, names in (
        (batching, ["HOLD_SECONDS"]),
        (exchange_client, ["CALL_SECONDS", "CONNECT_SECONDS", "LINE_WAIT_SECONDS"]),
        (service, ["FINISH_SECONDS"]),
    ):
        for name in names:
            monkeypatch.setattr(module, name, PATIENCE_SECONDS)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def placement(order: str) -> PlaceRequest:
    return PlaceRequest(order, "account", "META", "buy", 52_210, 10, "day", now_ms() + 60_000)


def report(order: str) -> protocol.OrderReport:
    return protocol.OrderReport(
        f"X-{order}", order, "account", "META", "buy", 52_210, 10, "day", "open", 0, 0, 1_000
    )


def obliging(path: str, body: bytes) -> Answer:
    """Accept all, cancel all, find all."""
    message: msgspec.Struct
    if path == "/v1/orders":
        order = msgspec.json.decode(body, type=protocol.Placement).client_order_id
        message = protocol.PlacementReply(order, "accepted", report(order))
    elif path == "/v1/orders/batch":
        batch = msgspec.json.decode(body, type=protocol.PlacementBatch)
        message = protocol.PlacementBatchReply(
            [
                protocol.PlacementReply(
                    each.client_order_id, "accepted", report(each.client_order_id)
                )
                for each in batch.orders
            ]
        )
    elif path == "/v1/cancels":
        message = protocol.CancelReply("unknown-remembered")
    else:
        message = report(path.rpartition("/")[2])
    return 200, msgspec.json.encode(message)


def always(answer: Answer) -> Script:
    return lambda path, body: answer


@asynccontextmanager
async def gateway(folder: Path) -> AsyncIterator[Gateway]:
    """Run it as long as the block."""
    stopping = asyncio.Event()
    ready = asyncio.Event()

    def fail(error: BaseException) -> None:
        raise error

    async with (
        nats_server(folder) as nats,
        scripted_exchange(obliging) as exchange,
        open_exchange(exchange.url, "sherwood") as to_exchange,
        open_bus(nats.url, "gateway") as service_bus,
        open_bus(nats.url, "asker") as bus,
        asyncio.TaskGroup() as tasks,
    ):
        batcher = PlacementBatcher(to_exchange.place, now_ms)
        serving = GatewayService(service_bus, to_exchange, batcher)
        tasks.create_task(serving.serve(stopping, ready.set, fail))
        await ready.wait()
        yield Gateway(GatewayClient(bus), exchange, bus, batcher, stopping)
        stopping.set()


async def test_each_of_the_three_questions_is_answered(tmp_path: Path) -> None:
    async with gateway(tmp_path) as here:
        placed = await here.client.place(placement("o1"), PATIENCE_SECONDS)
        cancelled = await here.client.cancel(CancelRequest("o1", None), PATIENCE_SECONDS)
        found = await here.client.query(QueryRequest(client_order_id="o1"), PATIENCE_SECONDS)

    assert placed.outcome == "accepted"
    assert placed.order is not None
    assert placed.order.external_order_id == "X-o1"
    assert cancelled.outcome == "absent"
    assert found.outcome == "found"
    assert found.order == placed.order
    assert here.exchange.connections_max == 2


async def test_500_orders_at_once_are_at_most_20_requests_on_one_connection(
    tmp_path: Path,
) -> None:
    async with gateway(tmp_path) as here, asyncio.TaskGroup() as tasks:
        here.exchange.answering.clear()
        asked = [
            tasks.create_task(here.client.place(placement(f"o{n}"), PATIENCE_SECONDS))
            for n in range(500)
        ]
        # However long they are on their way, they are there at once.
        await eventually(
            lambda: here.batcher.waiting >= 500 - BATCH_MAX, "one request holds up the others"
        )
        here.exchange.answering.set()
        replies = [await task for task in asked]

    assert {reply.outcome for reply in replies} == {"accepted"}
    assert [reply.order.client_order_id for reply in replies if reply.order is not None] == [
        f"o{n}" for n in range(500)
    ]
    assert len(here.exchange.requests) <= 20
    assert here.exchange.connections_max == 1


async def test_hangs_and_resets_are_unknown_and_never_leave_a_third_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange_client, "CALL_SECONDS", 1.0)
    async with gateway(tmp_path) as here:
        client, exchange = here.client, here.exchange
        for answer in (Hang(), Reset(), (500, b""), Hang()):
            exchange.script = always(answer)
            async with asyncio.TaskGroup() as tasks:
                asked = [
                    tasks.create_task(client.place(placement("o1"), PATIENCE_SECONDS)),
                    tasks.create_task(client.cancel(CancelRequest("o1", None), PATIENCE_SECONDS)),
                ]
            assert [task.result().outcome for task in asked] == ["unknown", "unknown"]
        exchange.script = obliging

        placed = await definite(lambda: client.place(placement("o1"), PATIENCE_SECONDS))
        query = QueryRequest(client_order_id="o1")
        found = await definite(lambda: client.query(query, PATIENCE_SECONDS))
        assert (placed.outcome, found.outcome) == ("accepted", "found")
        await eventually(lambda: exchange.open_connections <= 2, "old connections are gone")

    assert exchange.connections_max <= 2


async def test_an_exchange_that_is_away_is_unknown_and_found_again(tmp_path: Path) -> None:
    async with gateway(tmp_path) as here:
        here.exchange.script = always(Reset())
        away = await here.client.place(placement("o1"), PATIENCE_SECONDS)
        here.exchange.script = obliging
        back = await here.client.place(placement("o1"), PATIENCE_SECONDS)

    assert (away.outcome, away.code) == ("unknown", "exchange-unreachable")
    assert back.outcome == "accepted"


async def test_no_gateway_and_no_answer_are_unknown(tmp_path: Path) -> None:
    async with nats_server(tmp_path) as nats, open_bus(nats.url, "asker") as bus:
        nobody = await GatewayClient(bus).place(placement("o1"), 0.2)
        subscription = await bus.serve(GATEWAY_PLACE, "gateway", lambda payload, respond: None)
        silent = await GatewayClient(bus).place(placement("o1"), 0.2)
        await subscription.close()
        await nats.kill()
        away = await GatewayClient(bus).place(placement("o1"), 0.2)

    assert [(reply.outcome, reply.code) for reply in (nobody, silent, away)] == [
        ("unknown", "gateway-unreachable")
    ] * 3


async def test_a_wrong_payload_is_answered_too(tmp_path: Path) -> None:
    async with gateway(tmp_path) as here:
        place = await here.bus.request(GATEWAY_PLACE, b'{"client_order_id": 1}', PATIENCE_SECONDS)
        cancel = await here.bus.request(GATEWAY_CANCEL, b"nonsense", PATIENCE_SECONDS)

    replies = [msgspec.json.decode(reply, type=GatewayReply) for reply in (place, cancel)]
    assert [(reply.outcome, reply.code) for reply in replies] == [
        ("declined", "malformed-request"),
        ("unknown", "malformed-request"),
    ]
    assert here.exchange.requests == []


async def test_a_gateway_that_stops_answers_what_it_took_first(tmp_path: Path) -> None:
    async with gateway(tmp_path) as here, asyncio.TaskGroup() as tasks:

        def asking(orders: range) -> list[asyncio.Task[GatewayReply]]:
            return [
                tasks.create_task(here.client.place(placement(f"o{n}"), PATIENCE_SECONDS))
                for n in orders
            ]

        here.exchange.answering.clear()
        taken = asking(range(150))
        await eventually(lambda: here.batcher.waiting >= 150 - BATCH_MAX, "they are taken")
        late = asking(range(150, 300))
        here.stopping.set()
        here.exchange.answering.set()
        replies = [[await task for task in asked] for asked in (taken, late)]

    assert {reply.outcome for reply in replies[0]} == {"accepted"}
    # What NATS delivered after the unsubscribe has no responders, what was read after it is not
    # sent: also an answer, and at once.
    assert {(reply.outcome, reply.code) for reply in replies[1]} <= {
        ("accepted", None),
        ("declined", "gateway-stopping"),
        ("unknown", "gateway-unreachable"),
    }
