"""One run: the load rises, workers come, the load falls, workers go, and the books are compared."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
from temporalio.client import Client
from temporalio.service import RPCError

from bench.checks import Difference
from bench.records import open_records
from bench.scale.backlog import backlog_of
from bench.scale.fleet import Drain, Fleet
from bench.scale.load import Answered, Load, Shape
from bench.scale.rule import Autoscaler, Rule
from bench.target import OwnStack, own_stack
from bench.trial import settle
from brokerage.contracts.ids import ORDERS_TASK_QUEUE
from client.auth import BearerToken
from client.sherwood import Sherwood
from devstack.background import background

USERS: Final = 120
"""So many that none has two orders of one symbol under way: those would take turns."""
LOOK_SECONDS: Final = 1.0
END_SECONDS: Final = 120.0
"""So long after the load, and after the rule's window, the last worker that came has left."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What is scaled, under which load.

    Each worker has `slots` orders in hand at most, and the exchange takes `exchange_seconds` to
    answer: a worker then waits more than it computes, so a second one helps although the cores are
    the same.
    """

    rule: Rule
    shape: Shape
    slots: int
    exchange_seconds: float


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen in one second of the run; `at` and latencies in seconds."""

    at: float
    rate: float
    backlog: int
    wanted: int
    ready: int
    asked: int
    answered: int


@dataclass(frozen=True, slots=True)
class Change:
    """The rule wanted another number of workers."""

    at: float
    backlog: int
    before: int
    after: int


@dataclass
class Scaled:
    """What came of a run."""

    setting: Setting
    looks: list[Look] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    drains: list[Drain] = field(default_factory=list)
    answered: list[Answered] = field(default_factory=list)
    repeated: Mapping[str, int] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    """Orders that a user was told are taken, and that are not in our books."""
    differences: list[Difference] = field(default_factory=list)
    """Where our books and the exchange's own list disagree once all is settled."""

    @property
    def nothing_lost(self) -> bool:
        """Every order has its answer, is in our books, and ended as the exchange says."""
        unanswered = [one for one in self.answered if one.ending.startswith("unanswered")]
        return not (self.missing or self.differences or unanswered)

    @property
    def backlog_max(self) -> int:
        """The longest backlog that was read."""
        return max((look.backlog for look in self.looks), default=0)

    @property
    def is_good(self) -> bool:
        """Nothing lost, and all seen that there is to see: a backlog, a worker added by it, and
        workers that left in good order.
        """
        added = any(one.after > one.before for one in self.changes)
        drained = bool(self.drains) and all(drain.clean for drain in self.drains)
        return self.nothing_lost and self.backlog_max > 0 and added and drained


async def scale(
    setting: Setting,
    tell: Callable[[str], None] = lambda text: None,
    seen: Callable[[Scaled], None] = lambda scaled: None,
) -> Scaled:
    """Run it on a stack of its own. `tell` hears what goes on, `seen` has each second's look."""
    workers = setting.rule.replicas_max
    environment = {"SHERWOOD_WORKFLOW_TASKS_MAX": str(setting.slots)}
    async with own_stack(20.0, workers=workers, environment=environment, tell=tell) as target:
        fleet = Fleet(target.stack)
        tell(f"{setting.rule.replicas_min} of {workers} workers stay")
        fleet.resize(setting.rule.replicas_min)
        await fleet.settled()
        fleet.drains.clear()  # they had nothing to do yet
        async with _slow_exchange(target.env, setting.exchange_seconds), _users(target) as users:
            return await _run(target, fleet, setting, users, tell, seen)


async def _run(
    target: OwnStack,
    fleet: Fleet,
    setting: Setting,
    users: list[Sherwood],
    tell: Callable[[str], None],
    seen: Callable[[Scaled], None],
) -> Scaled:
    temporal = await Client.connect(
        target.env["SHERWOOD_TEMPORAL_ADDRESS"],
        namespace=target.env["SHERWOOD_TEMPORAL_NAMESPACE"],
    )
    began = time.monotonic()

    def now() -> float:
        return time.monotonic() - began

    load = Load(users)
    fleet.clock = now
    scaled = Scaled(setting, drains=fleet.drains, answered=load.answered, repeated=load.repeated)

    async def watch() -> None:
        scaler, due = Autoscaler(setting.rule), 0.0
        while True:
            try:
                backlog = await backlog_of(temporal, ORDERS_TASK_QUEUE)
            except RPCError as error:
                tell(f"Temporal does not say how long the backlog is: {error}")
                await asyncio.sleep(LOOK_SECONDS)
                continue
            if now() >= due:
                due = now() + setting.rule.sync_seconds
                wanted = scaler.decide(now(), backlog, fleet.wanted)
                if wanted != fleet.wanted:
                    scaled.changes.append(Change(now(), backlog, fleet.wanted, wanted))
                    fleet.resize(wanted)
            rate = setting.shape.rate(now())
            counts = (fleet.wanted, fleet.ready, load.asked, len(load.answered))
            scaled.looks.append(Look(now(), rate, backlog, *counts))
            seen(scaled)
            await asyncio.sleep(LOOK_SECONDS - now() % LOOK_SECONDS)

    async with background(watch()):
        await load.run(setting.shape, now)
        with suppress(TimeoutError):  # the run shows that they did not go
            async with asyncio.timeout(END_SECONDS + setting.rule.down.window_seconds):
                while fleet.wanted > setting.rule.replicas_min:  # noqa: ASYNC110 - nobody tells
                    await asyncio.sleep(LOOK_SECONDS)
    await fleet.settled()
    tell("comparing our books with the exchange's list")
    async with open_records(target.env) as records:
        ours, scaled.differences[:] = await settle(records, tell)
    known = {order.order_id for order in ours.orders}
    scaled.missing += [
        one.order_id for one in load.answered if one.order_id and one.order_id not in known
    ]
    return scaled


@asynccontextmanager
async def _users(target: OwnStack) -> AsyncIterator[list[Sherwood]]:
    async with AsyncExitStack() as resources:
        registrar = await resources.enter_async_context(Sherwood(target.api_url))
        users = []
        for number in range(USERS):
            token = await registrar.development_token(f"scale-{number}")
            user = Sherwood(target.api_url, auth=BearerToken(token.token))
            users.append(await resources.enter_async_context(user))
        yield users


@asynccontextmanager
async def _slow_exchange(env: Mapping[str, str], seconds: float) -> AsyncIterator[None]:
    """Have the exchange answer placements this much later."""
    rule: dict[str, Any] = {"action": "delay", "match": {"route": "place"}, "seconds": seconds}
    async with httpx.AsyncClient(base_url=env["SHERWOOD_EXCHANGE_URL"], trust_env=False) as http:
        answer = await http.post("/v1/control/rules", json=rule)
        answer.raise_for_status()
        yield
