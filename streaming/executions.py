"""Every report of the exchange reaches the workflow of its order, and is given up only then.

The reports of one order form a lane, worked on one after the other; lanes run side by side. What
cannot be resolved now is parked, so that it holds up nobody; nothing is dropped, and only what the
exchange itself attributes to no order of ours becomes a dead letter.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import msgspec
import structlog

from brokerage.bus.connection import BusUnavailable
from brokerage.bus.executions import Delivery
from brokerage.contracts.events import ExecutionReport
from brokerage.runtime.backoff import Backoff
from brokerage.runtime.logs import bind
from brokerage.runtime.tasks import TaskSet
from brokerage.storage.pool import DatabaseUnavailable
from brokerage.storage.reads import Route
from streaming.execution_metrics import (
    AGE_SECONDS,
    HELD,
    ORDERS,
    REPORTS,
    RETRIES,
    SETTLE_SECONDS,
)
from streaming.order_workflows import TOGETHER_MAX, NotTold
from streaming.routes import Routes, Unresolved

log = structlog.get_logger()

ORDERS_MAX: Final = 64
"""Orders that are looked up or told at the same time."""
NOTICE_SECONDS: Final = 0.3
"""A market order is often executed before its id is written down; that takes about this long."""
GRACE_SECONDS: Final = 30.0
"""No report is given up as nobody's before it was parked this long: our own row, and the order at
the exchange, may become visible late."""
KEEP_SECONDS: Final = 3.0
AGAIN: Final = Backoff(0.1, 10.0)

_REPORT = msgspec.json.Decoder(ExecutionReport)


class Workflows(Protocol):
    """`streaming.order_workflows.OrderWorkflows`, or what stands in for it."""

    async def fill(
        self, route: Route, reports: Sequence[ExecutionReport], asked: int = 0
    ) -> set[str]: ...


class Aside(Protocol):
    """`brokerage.bus.executions.Parking`, or what stands in for it."""

    async def park(self, delivery: Delivery) -> None: ...

    async def bury(self, delivery: Delivery, reason: str) -> None: ...


@dataclass(frozen=True, slots=True, eq=False)
class _Held:
    delivery: Delivery
    report: ExecutionReport
    since: float


@dataclass(slots=True)
class _Lane:
    """One order's reports. `noticed`: its id was written down after we last looked; `ask`: the
    exchange may be asked; `parked`: some of them were put aside.
    """

    external_order_id: str
    waiting: deque[_Held] = field(default_factory=deque)
    noticed: asyncio.Event = field(default_factory=asyncio.Event)
    ask: bool = True
    parked: bool = False


class Executions:
    """Takes reports in hand and sees to each of them.

    `on_parked` is called with the exchange's order id when work on it ends with reports parked, and
    with whether its route was noticed too late for them. Reports of a user and symbol for which
    `paused` says so are parked too.
    """

    def __init__(
        self,
        routes: Routes,
        workflows: Workflows,
        aside: Aside,
        on_parked: Callable[[str, bool], None],
        paused: Callable[[str, str], bool] = lambda user_id, symbol: False,
        *,
        notice_seconds: float = NOTICE_SECONDS,
        grace_seconds: float = GRACE_SECONDS,
        again: Backoff = AGAIN,
        now: Callable[[], float] = time.time,
        on_failure: Callable[[BaseException], None] | None = None,
    ) -> None:
        self._routes = routes
        self._workflows = workflows
        self._aside = aside
        self._on_parked = on_parked
        self._paused = paused
        self._notice_seconds = notice_seconds
        self._grace_seconds = grace_seconds
        self._again = again
        self._now = now
        self._lanes: dict[str, _Lane] = {}
        self._held: set[_Held] = set()
        self._slots = asyncio.Semaphore(ORDERS_MAX)
        self._tasks = TaskSet(on_failure)

    @property
    def held(self) -> int:
        """Reports in hand."""
        return len(self._held)

    def busy(self, external_order_id: str) -> bool:
        """True while reports of this order are being worked on."""
        return external_order_id in self._lanes

    async def take(self, delivery: Delivery, *, ask: bool = True) -> None:
        """See to this report from now on; returns at once. Without `ask` the exchange is spared."""
        try:
            report = _REPORT.decode(delivery.payload)
        except msgspec.DecodeError as error:
            await self._bury(delivery, "unknown", f"unreadable: {error}")
            return
        held = _Held(delivery, report, time.monotonic())
        self._held.add(held)
        HELD.set(len(self._held))
        lane = self._lanes.get(delivery.external_order_id)
        if lane is not None:
            lane.waiting.append(held)
            lane.ask = lane.ask or ask
            return
        lane = _Lane(delivery.external_order_id, deque([held]), ask=ask)
        self._lanes[delivery.external_order_id] = lane
        ORDERS.set(len(self._lanes))
        self._tasks.spawn(self._work(lane), f"executions-{delivery.external_order_id}")

    def notice(self, external_order_id: str) -> bool:
        """The id was written down: say so to whoever waits for it; False if nobody here does."""
        lane = self._lanes.get(external_order_id)
        if lane is None:
            return False
        lane.noticed.set()
        return True

    async def keep(self) -> None:
        """Say every few seconds that work on what is held goes on; runs until cancelled."""
        while True:
            await asyncio.sleep(KEEP_SECONDS)
            try:
                for held in list(self._held):
                    await held.delivery.keep()
            except BusUnavailable as error:
                log.warning("executions_not_kept", held=len(self._held), error=str(error))

    async def close(self, timeout_seconds: float) -> None:
        """Finish what can be in this time, and hand the rest back."""
        await self._tasks.join(timeout_seconds)
        await self._tasks.close()
        try:
            for held in list(self._held):
                await held.delivery.release()
        except BusUnavailable as error:
            log.warning("executions_not_released", held=len(self._held), error=str(error))
        self._held.clear()

    async def _work(self, lane: _Lane) -> None:
        bind(external_order_id=lane.external_order_id)
        try:
            while lane.waiting:
                batch = [
                    lane.waiting.popleft() for _ in range(min(len(lane.waiting), TOGETHER_MAX))
                ]
                await self._see_to(lane, batch)
        finally:
            del self._lanes[lane.external_order_id]
            ORDERS.set(len(self._lanes))
            if lane.parked:
                # In the same turn: a notice finds either the lane or the parked order.
                self._on_parked(lane.external_order_id, lane.noticed.is_set())

    async def _see_to(self, lane: _Lane, batch: list[_Held]) -> None:
        """Return when each report of `batch` is settled, parked or buried."""
        failures = 0
        asked = 0
        while batch:
            try:
                route = await self._resolve(lane, parked=_all_parked(batch))
                if isinstance(route, Unresolved):
                    if not lane.noticed.is_set():
                        batch = await self._put_aside(lane, batch, route)
                    continue
                bind(order_id=route.order_id, user_id=route.user_id)
                if self._paused(route.user_id, batch[0].report.symbol):
                    batch = await self._put_aside(lane, batch, Unresolved("paused", foreign=False))
                    continue
                async with self._slots:
                    settled = await self._workflows.fill(route, _once(batch), asked)
                batch = await self._settle(batch, settled)
                if batch:
                    # The same question would be answered from memory.
                    asked += 1
                    raise NotTold("not-settled")
            except (NotTold, DatabaseUnavailable, BusUnavailable) as error:
                failures += 1
                if isinstance(error, NotTold) and error.asked_anew:
                    asked += 1
                await self._pause(lane, error, failures)

    async def _resolve(self, lane: _Lane, *, parked: bool) -> Route | Unresolved:
        external_order_id = lane.external_order_id
        lane.noticed.clear()
        async with self._slots:
            route = await self._routes.find(external_order_id)
        if route is not None:
            return route
        if not parked:
            try:
                async with asyncio.timeout(self._notice_seconds):
                    await lane.noticed.wait()
            except TimeoutError:
                log.debug("route_not_noticed", external_order_id=external_order_id)
            else:
                return Unresolved("noticed", foreign=False)
        if not lane.ask:
            return Unresolved("not-asked", foreign=False)
        return await self._routes.ask(external_order_id)

    async def _put_aside(self, lane: _Lane, batch: list[_Held], why: Unresolved) -> list[_Held]:
        for held in batch:
            delivery = held.delivery
            if delivery.parked_at is None:
                await self._aside.park(delivery)
                log.info(
                    "report_parked",
                    external_order_id=lane.external_order_id,
                    report_id=held.report.report_id,
                    reason=why.reason,
                )
                lane.parked = True
                await self._give_up(held, "parked")
            elif why.foreign and self._now() - delivery.parked_at > self._grace_seconds:
                self._held.discard(held)
                await self._bury(delivery, held.report.kind, why.reason)
            else:
                # It is parked already and stays so.
                self._held.discard(held)
        HELD.set(len(self._held))
        return []

    async def _settle(self, batch: list[_Held], settled: set[str]) -> list[_Held]:
        for held in batch:
            if held.report.report_id in settled:
                SETTLE_SECONDS.observe(time.monotonic() - held.since)
                AGE_SECONDS.observe(max(0.0, self._now() - held.report.at_ms / 1000))
                await self._give_up(held, "settled")
        return [held for held in batch if held.report.report_id not in settled]

    async def _give_up(self, held: _Held, result: str) -> None:
        self._held.discard(held)
        HELD.set(len(self._held))
        REPORTS.labels(held.report.kind, result).inc()
        await _tell(held.delivery.settle, held.delivery)

    async def _bury(self, delivery: Delivery, kind: str, reason: str) -> None:
        try:
            await self._aside.bury(delivery, reason)
        except BusUnavailable as error:
            log.warning("report_not_buried", subject=delivery.subject, error=str(error))
            return
        log.error(
            "report_dead",
            external_order_id=delivery.external_order_id,
            report_id=delivery.message_id,
            reason=reason,
        )
        REPORTS.labels(kind, "dead").inc()
        await _tell(delivery.settle, delivery)

    async def _pause(self, lane: _Lane, error: Exception, failures: int) -> None:
        cause = error.cause if isinstance(error, NotTold) else type(error).__name__
        RETRIES.labels(cause).inc()
        # Once and then ever more rarely: an engine that is away fails for thousands of orders.
        if failures & (failures - 1) == 0:
            log.warning(
                "report_not_delivered",
                external_order_id=lane.external_order_id,
                cause=cause,
                error=str(error),
                failures=failures,
            )
        await asyncio.sleep(self._again.pause_seconds(failures))


async def _tell(settle: Callable[[], Awaitable[None]], delivery: Delivery) -> None:
    try:
        await settle()
    except BusUnavailable as error:
        # It comes again, and is recognised by its id then.
        log.warning("report_not_acknowledged", subject=delivery.subject, error=str(error))


def _all_parked(batch: list[_Held]) -> bool:
    return all(held.delivery.parked_at is not None for held in batch)


def _once(batch: list[_Held]) -> list[ExecutionReport]:
    """A report that was delivered twice is told once."""
    return list({held.report.report_id: held.report for held in batch}.values())
