"""The gateway process against the exchange process, judged by the exchange's own counters."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import msgspec

from brokerage.bus.connection import Bus, open_bus
from brokerage.bus.kill_switch import create_switch, new_act
from brokerage.contracts.gateway import CancelRequest, GatewayReply, PlaceRequest, QueryRequest
from brokerage.contracts.subjects import entered_subject
from brokerage.gateway.client import GatewayClient
from exchange import protocol
from tests.support.eventually import eventually
from tests.support.gateway import PATIENCE_SECONDS, definite, heard
from tests.support.nats_server import nats_server
from tests.support.ports import free_port
from tests.support.running import Running, running


@dataclass
class World:
    client: GatewayClient
    exchange_url: str
    gateway: Running
    exchange: Running
    bus: Bus

    async def place(self, request: PlaceRequest) -> GatewayReply:
        """The gateway's answer to a placement whose row is there."""
        subject = entered_subject(request.client_order_id)
        await self.bus.publish(subject, msgspec.json.encode(request))
        return await self.client.place(request, PATIENCE_SECONDS)

    async def placed(self, request: PlaceRequest) -> GatewayReply:
        """What became of it in the end."""
        return await definite(lambda: self.place(request))

    async def cancelled(self, order: str, external: str | None = None) -> GatewayReply:
        """What became of a cancel in the end."""
        return await definite(lambda: self.client.cancel(CancelRequest(order, external)))

    async def counts(self) -> protocol.MemberCounts:
        async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE_SECONDS) as http:
            body = (await http.get(f"{self.exchange_url}/v1/status")).content
        return msgspec.json.decode(body, type=protocol.Status).members["sherwood"]


@asynccontextmanager
async def world(folder: Path) -> AsyncIterator[World]:
    port, health = free_port(), free_port()
    exchange_url = f"http://127.0.0.1:{port}"
    async with nats_server(folder / "nats") as nats, open_bus(nats.url, "asker") as bus:
        opened = new_act("global", "", 0, operator="olivia", address="", reason="a test")
        await create_switch(bus, opened)
        async with (
            running(
                "exchange",
                environment={
                    "EXCHANGE_PORT": str(port),
                    "EXCHANGE_JOURNAL": str(folder / "exchange.sqlite3"),
                },
                ready_url=f"{exchange_url}/readyz",
                log=folder / "exchange.log",
            ) as exchange,
            running(
                "workers.gateway",
                environment={
                    "SHERWOOD_NATS_URL": nats.url,
                    "SHERWOOD_EXCHANGE_URL": exchange_url,
                    "SHERWOOD_HEALTH_PORT": str(health),
                },
                ready_url=f"http://127.0.0.1:{health}/readyz",
                log=folder / "gateway.log",
            ) as gateway,
        ):
            yield World(GatewayClient(bus), exchange_url, gateway, exchange, bus)


def placement(order: str, *, price_cents: int = 100, send_by_ms: int | None = None) -> PlaceRequest:
    """A buy that rests: nobody sells for a dollar."""
    send_by_ms = send_by_ms or time.time_ns() // 1_000_000 + 60_000
    return PlaceRequest(order, "account", "META", "buy", price_cents, 1, "day", send_by_ms)


async def test_500_orders_at_once_are_at_most_20_requests_and_two_connections(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as here:

        async def requests() -> int:
            counts = await here.counts()
            return sum(
                count for route, count in counts.requests_by_route.items() if "orders" in route
            )

        async def at_once(burst: int) -> int:
            before = await requests()
            async with asyncio.TaskGroup() as tasks:
                asked = [
                    tasks.create_task(here.placed(placement(f"o{burst}-{n}"))) for n in range(500)
                ]
            outcomes.update(task.result().outcome for task in asked)
            return await requests() - before

        outcomes: set[str] = set()
        await here.cancelled("o")
        bursts = 0

        async def few() -> None:
            nonlocal bursts
            bursts += 1
            assert await at_once(bursts) <= 20

        # Where the machine stretches a burst, the orders of it were not there at once.
        await eventually(few, "500 orders at once are few requests", 2 * PATIENCE_SECONDS)
        counts = await here.counts()

    assert outcomes == {"accepted"}
    assert counts.orders == 500 * bursts
    assert counts.connections_max <= 2


async def test_an_order_is_placed_found_and_cancelled(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        placed = await here.placed(placement("o1"))
        # For some seconds, the first attempt stands in the way of another.
        again = await here.placed(placement("o1"))
        cancelled = await here.cancelled(
            "o1", placed.order.external_order_id if placed.order else None
        )
        late = await here.cancelled("o1")

        async def found() -> None:
            reply = await here.client.query(QueryRequest(client_order_id="o1"))
            assert reply.outcome == "found"

        await eventually(found, "the order is visible to queries")

    assert placed.outcome == again.outcome == "accepted"
    assert placed.order is not None
    assert again.order is not None
    assert placed.order.external_order_id == again.order.external_order_id
    assert cancelled.outcome == late.outcome == "cancelled"
    assert cancelled.order is not None
    assert cancelled.order.cumulative_shares == 0


async def test_what_the_exchange_never_saw_is_absent_and_refused_from_then_on(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as here:
        asked = await definite(lambda: here.client.query(QueryRequest(client_order_id="o1")))
        cancelled = await here.cancelled("o1")
        placed = await here.placed(placement("o1"))

    assert (asked.outcome, cancelled.outcome) == ("absent", "absent")
    assert (placed.outcome, placed.code) == ("refused", "cancelled-before-placed")


async def test_an_unknown_symbol_is_refused_and_a_late_order_declined(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        late = await here.placed(placement("late", send_by_ms=1))
        wrong = await here.placed(
            PlaceRequest("o2", "account", "NOPE", "buy", 1, 1, "day", 9_999_999_999_999)
        )
        counts = await here.counts()

    assert (late.outcome, late.code) == ("declined", "past-send-by")
    assert (wrong.outcome, wrong.code) == ("refused", "unknown-symbol")
    assert counts.orders <= 1


async def test_an_exchange_that_dies_is_unknown_and_the_gateway_stops_cleanly(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as here:
        await here.placed(placement("o1"))
        await here.exchange.kill()

        away = await heard(lambda: here.place(placement("o2")))
        code = await here.gateway.stop()

    assert away.outcome == "unknown"
    assert code == 0
