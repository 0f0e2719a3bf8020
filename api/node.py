"""What one API process holds open, and how it opens, loses and closes it.

Nothing here stops the process: it answers from its first second, each route with 503 for as long
as a part it needs is away.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Annotated, Any, Final, TypeVar

import structlog
from fastapi import Depends, Request
from starlette.datastructures import State
from starlette.types import ASGIApp

from api.auth import TokenVerifier
from api.errors import ProblemError
from api.kill_switch import keep_switch
from api.order_rates import OrderRates
from api.order_workflows import OrderWorkflows
from api.reconciliation_runs import ReconciliationRuns
from api.turns import Turns
from api.waits import Waits
from brokerage.bus.connection import Bus, open_bus
from brokerage.bus.kill_switch import KillSwitch, open_kill_switch
from brokerage.bus.last_price import LastPrices
from brokerage.bus.stream_control import StreamControl
from brokerage.runtime.backoff import Backoff
from brokerage.runtime.heart import Heart
from brokerage.runtime.metrics import describe_process
from brokerage.runtime.settings import Settings
from brokerage.runtime.tasks import TaskSet
from brokerage.storage.admission import everybodys_rate
from brokerage.storage.pool import Pool, open_pool
from streaming.directory import Directory
from streaming.hub import Hub
from streaming.market import Market, open_market
from workflows.client import connect_temporal

log = structlog.get_logger()

REOPEN: Final = Backoff(0.25, 3.0)
HISTORY_SHARE: Final = 3
"""One in so many connections may look into the past; the others stay free for orders."""
READY_WITHOUT_SECONDS: Final = 10.0
"""What is away for longer than this is not this node's fault: it takes requests without."""

PARTS: Final = (
    "pool",
    "bus",
    "temporal",
    "hub",
    "directory",
    "last_prices",
    "stream_control",
    "kill_switch",
)

Part = TypeVar("Part")


class NodeState(State):
    """`app.state`. Reading a part that is not open yet raises `ProblemError` unavailable."""

    settings: Settings
    verifier: TokenVerifier
    draining: bool
    """The node is about to leave: it still serves whoever comes, and says that none should."""
    stopping: asyncio.Event
    """The end: streams end with it, and no new ones begin."""
    failure: BaseException | None
    """What a part of the node died of."""
    on_failure: Callable[[], None]
    streams: ASGIApp
    order_rates: OrderRates
    waits: Waits
    claim_turns: Turns
    heart: Heart
    ready_at: float
    pool: "Pool[Any]"
    bus: Bus
    temporal: OrderWorkflows
    reconciliations: ReconciliationRuns
    hub: Hub
    directory: Directory
    last_prices: LastPrices
    stream_control: StreamControl
    kill_switch: KillSwitch
    history_reads: asyncio.Semaphore

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name not in PARTS:
                raise
            raise ProblemError("unavailable", "this node is still connecting") from None

    def fail(self, error: BaseException) -> None:
        """Get no more requests, and end: a part died, and nothing here starts it again."""
        self.failure = error
        self.on_failure()

    def has(self, name: str) -> bool:
        """True once the part is open."""
        return name in self._state

    @property
    def ready(self) -> bool:
        """True when this node should get requests: its own faults count, nobody else's."""
        if self._is_complete():
            # Once is enough: what goes away later is no fault of this node.
            self.ready_at = 0.0
        is_leaving = self.draining or self.stopping.is_set() or self.failure is not None
        return time.monotonic() > self.ready_at and not is_leaving

    def _is_complete(self) -> bool:
        # A hub that has not heard the feed's first beat would refuse orders as if it were silent,
        # and a switch that was not read yet as if it were set.
        return (
            all(map(self.has, PARTS))
            and self.directory.ready
            and self.hub.feed_is_live
            and self.kill_switch.switches is not None
        )


async def _node(request: Request) -> NodeState:
    state = request.app.state
    assert isinstance(state, NodeState)
    return state


Node = Annotated[NodeState, Depends(_node)]


@asynccontextmanager
async def open_node(state: NodeState) -> AsyncIterator[None]:
    """Open every part in the background, hold it open, close all on the way out."""
    settings = state.settings
    state.ready_at = time.monotonic() + READY_WITHOUT_SECONDS
    describe_process("api", settings.worker_build_id, lambda: state.ready)
    state.history_reads = asyncio.Semaphore(max(1, settings.database_pool_size // HISTORY_SHARE))
    client = await connect_temporal(
        settings.temporal_address, settings.temporal_namespace, lazy=True
    )
    state.temporal = OrderWorkflows(client, settings.placements_max)
    state.reconciliations = ReconciliationRuns(client)

    def hold_pool(pool: "Pool[Any]") -> None:
        state.pool = pool

    def hold_market(market: Market) -> None:
        state.hub = market.hub
        state.directory = market.directory
        state.last_prices = market.last_prices
        state.stream_control = market.stream_control

    def hold_kill_switch(kill_switch: KillSwitch) -> None:
        state.kill_switch = kill_switch

    async def hold_bus() -> None:
        async with open_bus(settings.nats_url, "api") as bus, TaskSet(state.fail) as parts:
            state.bus = bus
            switch = _hold("kill switch", lambda: open_kill_switch(bus), hold_kill_switch)
            parts.spawn(switch, "kill-switch")
            await _hold("market", lambda: open_market(bus), hold_market)

    async with TaskSet(state.fail) as tasks:
        tasks.spawn(state.heart.beat(), "beat")
        tasks.spawn(_hold("database", lambda: _open_database(state), hold_pool), "database")
        tasks.spawn(hold_bus(), "bus")
        tasks.spawn(keep_switch(state), "keep-kill-switch")
        try:
            yield
        finally:
            # Also where nobody sent a signal: the streams end before what they read from closes.
            state.stopping.set()


@asynccontextmanager
async def _open_database(state: NodeState) -> "AsyncIterator[Pool[Any]]":
    async with open_pool(state.settings) as pool:
        state.order_rates.learn_everybodys(await everybodys_rate(pool))
        yield pool


async def _hold(
    name: str,
    opened: Callable[[], AbstractAsyncContextManager[Part]],
    hold: Callable[[Part], None],
) -> None:
    """Open until it works, then keep it open until this task is cancelled."""
    failures = 0
    while True:
        try:
            async with opened() as part:
                hold(part)
                log.info("part_open", part=name)
                await asyncio.Event().wait()
        except Exception as error:  # noqa: BLE001 - whatever keeps a part away, the node goes on
            log.warning("part_not_open", part=name, error=repr(error))
            failures += 1
            await asyncio.sleep(REOPEN.pause_seconds(failures))
