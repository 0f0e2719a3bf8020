"""One order, one seed: a story full of faults, and whether it ended in the truth."""

import asyncio
import random
import types
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import pytest
from temporalio.exceptions import ApplicationError

import activities.exchange
import activities.orders
import activities.trace
import brokerage.gateway.batching
import brokerage.runtime.backoff
import workflows.order
from activities.exchange import VISIBILITY_SECONDS, ExchangeActivities
from activities.notices import Notices
from activities.orders import OrderActivities
from brokerage.contracts.commands import CancelOrder, StartOrder
from brokerage.contracts.placements import SEND_BY_SECONDS
from brokerage.gateway.batching import PlacementBatcher
from brokerage.gateway.client import GatewayClient
from brokerage.gateway.exchange import ExchangeClient
from brokerage.gateway.reports import report_of
from brokerage.gateway.service import GatewayService
from brokerage.storage.writes import OrderWriter
from exchange.protocol import MemberMessage, Placement
from tests.unit.outcomes.bus import MemoryBus, WorkerBus
from tests.unit.outcomes.chance import Chance
from tests.unit.outcomes.exchange import MEMBER, SYMBOL, LossyNetwork, SimulatedExchange
from tests.unit.outcomes.postgres import MemoryPostgres, Rows
from tests.unit.outcomes.temporal import Temporal
from tests.unit.outcomes.truth import CASH_CENTS, SHARES, Truth, send_by_ms
from tests.unit.outcomes.virtual_time import VirtualDatetime, run_in_virtual_time, wall_ms
from tests.unit.outcomes.workers import Worker

USER: Final = "ada"
ORDER_ID: Final = "0b9bb1b6-7d6a-5c0b-8a5e-1f4f6f0f0001"
KEY: Final = "key-1"
ANSWERED_SECONDS: Final = 45.0
"""After the last fault and the last freeze: two attempts and the longest pause between them."""


@dataclass(frozen=True)
class Code:
    """The code under test; a planted bug replaces a part of it."""

    exchange: type[ExchangeActivities] = ExchangeActivities
    orders: type[OrderActivities] = OrderActivities
    writer: type[OrderWriter] = OrderWriter
    client: type[GatewayClient] = GatewayClient
    exchange_client: type[ExchangeClient] = ExchangeClient
    batcher: type[PlacementBatcher] = PlacementBatcher
    visibility_seconds: float = VISIBILITY_SECONDS


class Case:
    """Everything one seed runs, put together."""

    def __init__(self, seed: int, code: Code) -> None:
        dice = random.Random(seed)
        self.chance = Chance(
            dice,
            rates={
                # Between two answers of the exchange a worker passes a dozen places to fail.
                "worker": dice.choice([0, 0, 0.01, 0.05, 0.15]),
                "database": dice.choice([0, 0.05, 0.2]),
                "bus": dice.choice([0, 0.1, 0.4]),
                "wire": dice.choice([0.1, 0.4, 0.6, 0.8]),
                "exchange": dice.choice([0, 0.1, 0.3]),
            },
            calm_at=dice.choice([3.0, 15.0, 40.0, 70.0]),
            moments=(SEND_BY_SECONDS, SEND_BY_SECONDS + VISIBILITY_SECONDS),
        )
        self.code = code
        self.exchange = SimulatedExchange(self.chance, self._tell)
        self.postgres = MemoryPostgres(self.chance, Rows(CASH_CENTS, {SYMBOL: SHARES}))
        self.bus = MemoryBus(self.chance)
        self.temporal = Temporal(self.chance, self._activities_of)
        self.start = self._start(dice)
        self.cancel_wanted = False
        self._stopping = asyncio.Event()
        self._activities: dict[Worker, dict[str, object]] = {}

    def _start(self, dice: random.Random) -> StartOrder:
        price = self.exchange.price_cents
        limit = dice.choice([None, price + 100, price - 2, price + 2, price - 100, price - 100])
        return StartOrder(
            order_id=ORDER_ID,
            user_id=USER,
            symbol=SYMBOL,
            side=dice.choice(["buy", "sell"]),
            shares=dice.choice([1, 10, 90, 250]),
            limit_price_cents=limit,
            time_in_force="gtc" if limit and dice.random() < 0.2 else dice.choice(["day", "ioc"]),
            idempotency_key=KEY,
            claimed_at_ms=wall_ms(),
            last_price_cents=price,
        )

    # -- the story -----------------------------------------------------------------------------

    async def play(self) -> None:
        """From the request to a day that has ended, with a look at the truth twice."""
        truth = Truth(self.chance, self.exchange, self.postgres, self.start)
        async with asyncio.TaskGroup() as gateways:
            serving = [gateways.create_task(self._gateway()) for _ in range(2)]
            await asyncio.sleep(0)
            self.temporal.start(self.start)
            async with asyncio.TaskGroup() as others:
                others.create_task(self._market())
                for _ in range(self.chance.random.choice([0, 0, 1, 2])):
                    others.create_task(self._customer_cancels())
            await self._until(self.chance.calm_at)
            thawed_at = max(worker.thaws_at for worker in self.temporal.fleet.lives)
            await self._until(max(SEND_BY_SECONDS, thawed_at))
            await asyncio.sleep(ANSWERED_SECONDS)
            truth.check_answered(self.cancel_wanted)
            # What was sent late is on its way for a minute.
            await asyncio.sleep(60)
            self.exchange.end_day()
            await asyncio.sleep(ANSWERED_SECONDS)
            truth.check_ended(self.cancel_wanted, self.temporal.result)
            for gateway in serving:
                gateway.cancel()

    async def _until(self, at: float) -> None:
        await asyncio.sleep(max(0.0, at - asyncio.get_running_loop().time()))

    async def _gateway(self) -> None:
        client = self.code.exchange_client(
            "http://exchange", MEMBER, LossyNetwork(self.exchange, self._watch)
        )
        batcher = self.code.batcher(client.place, wall_ms)
        try:
            await GatewayService(self.bus, client, batcher).serve(
                self._stopping, lambda: None, self._defect
            )
        finally:
            await client.close()

    async def _market(self) -> None:
        """The market goes on for a while, and may end the order."""
        for _ in range(self.chance.random.randrange(6)):
            await asyncio.sleep(self.chance.seconds(0, 15))
            self.exchange.show(self.chance.random.randrange(1, 20))
            if self.chance.random.random() < 0.2:
                self.exchange.amend()
        if self.chance.random.random() < 0.15:
            await asyncio.sleep(self.chance.seconds(0, 15))
            self.exchange.end(expired=self.chance.random.random() < 0.5)

    async def _customer_cancels(self) -> None:
        await asyncio.sleep(self.chance.random.choice([0.05, 1, 5, 11, 14, 60]) * 0.99)
        await asyncio.sleep(self.chance.seconds(0, 2))
        self.chance.note("the customer asks to cancel")
        self.cancel_wanted = True
        try:
            await self.temporal.update("cancel", CancelOrder(USER))
        except ApplicationError as refusal:
            self.chance.note(f"cancel refused: {refusal}")

    def _tell(self, message: MemberMessage) -> None:
        """The feed: late, out of order, more than once, and never not at all."""
        report = report_of(message)
        self.chance.note(f"exchange: {report.kind} {report.shares} {report.status or ''}")

        async def deliver(after_seconds: float) -> None:
            await asyncio.sleep(after_seconds)
            await self.temporal.update("fill", [report])

        for _ in range(1 + (self.chance.random.random() < 0.2)):
            late = self.chance.random.random() < 0.2
            self.temporal.fleet.spawn(deliver(self.chance.seconds(0, 15 if late else 0.1)))

    # -- what must hold ------------------------------------------------------------------------

    def _watch(self, placement: Placement) -> None:
        if wall_ms() > send_by_ms(self.start):
            self.chance.promise_broken("a gateway sent an order after its send-by")
        if placement.client_order_id != ORDER_ID or placement.shares != self.start.shares:
            self.chance.promise_broken(f"sent under another id, or other terms: {placement}")

    def _defect(self, error: BaseException) -> None:
        self.chance.promise_broken(f"a gateway failed: {error!r}")

    # -- parts ---------------------------------------------------------------------------------

    def _activities_of(self, worker: Worker) -> dict[str, object]:
        found = self._activities.get(worker)
        if found is None:
            pool: Any = self.postgres.pool_of(worker)
            bus = WorkerBus(self.bus, worker)
            writer, notices = self.code.writer(pool), Notices(bus)
            found = self._activities[worker] = {
                "OrderActivities": self.code.orders(writer, notices),
                "ExchangeActivities": self.code.exchange(writer, self.code.client(bus), notices),
            }
        return found


@contextmanager
def substituted_clocks() -> Iterator[None]:
    """Give the code under test the virtual clock, its own dice, and this Temporal."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (activities.exchange, activities.orders, activities.trace):
            patch.setattr(module, "datetime", VirtualDatetime)
        clock = types.SimpleNamespace(monotonic=lambda: asyncio.get_running_loop().time())
        patch.setattr(brokerage.gateway.batching, "time", clock)
        yield


def play(seed: int, code: Code | None = None) -> Chance:
    """Play one seed; what was broken is in the `Chance` that comes back."""

    async def story() -> Chance:
        case = Case(seed, code or Code())
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(workflows.order, "workflow", case.temporal)
            patch.setattr(brokerage.runtime.backoff, "random", case.chance.random)
            patch.setattr(activities.exchange, "VISIBILITY_SECONDS", case.code.visibility_seconds)
            await case.play()
        return case.chance

    return run_in_virtual_time(story())
