"""One measurement after the other on one stack: which load on which shape, and what came of it."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from statistics import mean
from typing import Final, Literal

from temporalio.client import Client, WorkflowExecutionStatus

from bench.children import run_load, worker
from bench.load import Listed, LoadResult, LoadSpec
from bench.loops import Samples
from bench.machine import CpuWatch
from bench.plan import RECORDED, WALKING
from bench.records import open_records
from bench.target import OwnStack
from brokerage.contracts.ids import workflow_id_for
from client.auth import BearerToken
from client.sherwood import Sherwood
from devstack.services import SHARED, kind_of

Shape = Literal["ours", "bare", "usual"]
USERS: Final = 60
WORKER: Final = "orders-1"
SAMPLED: Final = 20
"""Workflows whose history is looked at after each phase."""
QUIET_SECONDS: Final = 30.0
WARM_UP_SECONDS: Final = 3.0


@dataclass(frozen=True, slots=True)
class Phase:
    """A load of `rate` orders a second (open loop) or of `clients` (closed) on one shape.

    They are placed, or, resting, cancelled; `watched`: while each user's order stream is open.
    """

    shape: Shape
    rate: float | None = None
    clients: int | None = None
    request: Literal["place", "cancel"] = "place"
    watched: bool = False

    @property
    def load(self) -> str:
        """The load in words."""
        if self.rate is not None:
            request = "cancels, " if self.request == "cancel" else ""
            return f"open loop, {request}{self.rate:g}/s{', watched' if self.watched else ''}"
        return f"closed loop, {self.clients} client{'s' if self.clients != 1 else ''}"


@dataclass(frozen=True)
class Measured:
    """A phase's result; events and transitions are means of sampled whole orders.

    `told_ms`, of a watched phase: from each execution at the exchange to its owner's stream;
    `untold`: how many of its executions no stream told.
    """

    phase: Phase
    samples: Samples
    cpu_seconds: dict[str, float]
    events: float
    transitions: float
    told_ms: Sequence[float] = ()
    untold: int = 0

    @property
    def errors(self) -> dict[str, int]:
        """How requests ended that did not end well, and how many."""
        good = "200" if self.phase.request == "cancel" else "201"
        return {ending: n for ending, n in self.samples.endings.items() if ending != good}


class Bench:
    """A stack under measurement; `tell` hears what goes on."""

    def __init__(
        self, target: OwnStack, temporal: Client, tokens: list[str], tell: Callable[[str], None]
    ) -> None:
        self.target = target
        self._temporal = temporal
        self._tokens = tokens
        self._tell = tell
        self._others: dict[str, int] = {}

    @asynccontextmanager
    async def shape(self, shape: Shape) -> AsyncIterator[None]:
        """Have orders run in this shape for the block: another worker stands in for ours."""
        if shape == "ours":
            yield
            return
        stack = self.target.stack
        if shape == "usual":
            await self.quiet()
            await stack.stop(WORKER)
        log = stack.home.log_of(f"bench-{shape}")
        env = stack.processes[WORKER].spec.environment
        try:
            async with worker("bench.shape_worker", shape, env=env, log=log) as pid:
                self._others = {f"bench-{shape}": pid}
                yield
                await self.quiet()
        finally:
            self._others = {}
            if shape == "usual":
                await stack.start(WORKER)

    @asynccontextmanager
    async def in_place_of(self, name: str, *command: str) -> AsyncIterator[None]:
        """Run another command in the place of one of the stack's processes.

        Copies that would have the work in the meantime are away as well.
        """
        stack = self.target.stack
        away = [name]
        if kind_of(name) in SHARED:
            away = [one for one in stack.names if kind_of(one) == kind_of(name)]
        for one in away:
            await stack.stop(one)
        spec = stack.processes[name].spec
        log = stack.home.log_of(f"bench-{name}")
        try:
            async with worker(*command, env=spec.environment, log=log) as pid:
                self._others = {name: pid}
                yield
        finally:
            self._others = {}
            for one in away:
                await stack.start(one)

    async def run(self, phase: Phase, seconds: float) -> Measured:
        """Warm up, measure, wait until all is settled, look at some histories."""
        await self._load(phase, WARM_UP_SECONDS)
        await self.quiet()
        self._tell(f"{phase.shape}: {phase.load}")
        rows = [row for row in self.target.rows() if row.name not in self._others]
        watch = CpuWatch(rows, self._others)
        result = await self._load(phase, seconds)
        await self.quiet()
        cpu_seconds = watch.seconds() | {"load generator": result.cpu_seconds}
        events, transitions = await self._histories(phase.shape, result.order_ids)
        told_ms, untold = await self._told(result) if phase.watched else ([], 0)
        return Measured(phase, result.samples, cpu_seconds, events, transitions, told_ms, untold)

    async def _told(self, result: LoadResult) -> tuple[list[float], int]:
        """How long each execution took from the exchange to a stream, and how many never came."""
        async with open_records(self.target.env) as records:
            theirs = await records.theirs()
        placed = set(result.order_ids)
        ours = {one.order_id for one in theirs.orders if one.client_order_id in placed}
        at_ms = {e.execution_id: e.at_ms for e in theirs.executions if e.order_id in ours}
        told = [result.arrived_ms[one] - at_ms[one] for one in at_ms if one in result.arrived_ms]
        return told, len(at_ms) - len(told)

    async def idle(self, seconds: float) -> dict[str, float]:
        """What part of a core each process takes without any order: the market goes on."""
        self._tell("no orders: what the market alone costs")
        watch = CpuWatch(self.target.rows(), {})
        await asyncio.sleep(seconds)
        elapsed = watch.elapsed_seconds
        return {name: used / elapsed for name, used in watch.seconds().items()}

    async def quiet(self) -> None:
        """Wait until no order is open, so that phases do not share their work."""
        try:
            async with asyncio.timeout(QUIET_SECONDS):
                while await self._open_orders():  # noqa: ASYNC110 - Temporal tells no one
                    await asyncio.sleep(0.2)
        except TimeoutError:
            self._tell("some orders rest")

    async def _open_orders(self) -> int:
        return (await self._temporal.count_workflows("ExecutionStatus='Running'")).count

    async def _load(self, phase: Phase, seconds: float) -> LoadResult:
        spec = LoadSpec(
            kind="bare" if phase.shape == "bare" else phase.request,
            seconds=seconds,
            rate=phase.rate,
            clients=phase.clients,
            watched=phase.watched,
            api_url=self.target.api_url,
            tokens=self._tokens,
            listed=await self._listed(),
            temporal_address=self.target.env["SHERWOOD_TEMPORAL_ADDRESS"],
        )
        return await run_load(spec)

    async def _listed(self) -> list[Listed]:
        async with Sherwood(self.target.api_url, auth=BearerToken(self._tokens[0])) as client:
            found = [await client.symbol(name) for name in (*RECORDED, *WALKING)]
        return [Listed(one.symbol, one.price_cents) for one in found if one.price_cents]

    async def _histories(self, shape: Shape, order_ids: Sequence[str]) -> tuple[float, float]:
        """Mean events and state transitions of sampled orders that have ended."""
        sampled = random.Random(1).sample(order_ids, min(SAMPLED, len(order_ids)))
        events: list[int] = []
        transitions: list[int] = []
        for order_id in sampled:
            name = order_id if shape == "bare" else workflow_id_for(order_id)
            described = await self._temporal.get_workflow_handle(name).describe()
            if described.status is WorkflowExecutionStatus.COMPLETED:
                events.append(described.history_length)
                info = described.raw_description.workflow_execution_info
                transitions.append(info.state_transition_count)
        return (mean(events), mean(transitions)) if events else (0.0, 0.0)


@asynccontextmanager
async def open_bench(target: OwnStack, tell: Callable[[str], None]) -> AsyncIterator[Bench]:
    """Open the users' accounts and a connection to Temporal."""
    tell("opening accounts")
    async with Sherwood(target.api_url) as registrar:
        tokens = [
            (await registrar.development_token(f"bench-{number}")).token for number in range(USERS)
        ]
    temporal = await Client.connect(
        target.env["SHERWOOD_TEMPORAL_ADDRESS"],
        namespace=target.env["SHERWOOD_TEMPORAL_NAMESPACE"],
    )
    yield Bench(target, temporal, tokens, tell)
