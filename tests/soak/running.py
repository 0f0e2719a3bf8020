"""One soak: load and nemesis, then heal, drain, check, restart everything, and check again."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Final

import asyncpg

from devstack.background import background
from devstack.services import SERVERS
from devstack.stack import DevStack
from tests.checker.evidence import Evidence, gather
from tests.checker.history import History
from tests.checker.invariants import check
from tests.checker.quiet import settle
from tests.checker.violations import Violation
from tests.soak.hands import Hands
from tests.soak.load import Load, cancel_everything, followers_of, open_users
from tests.soak.nemesis import Nemesis
from tests.soak.recovery import Recovery
from tests.soak.result import Soaked
from tests.soak.schedule import episodes
from tests.soak.wires import Wires
from tests.support.eventually import comes_true
from tests.support.exchange_rules import exchange_of
from tests.support.order_log_checker import rows_of, violations
from tests.support.order_watch import Follower, all_following

STREAMS_SECONDS: Final = 45.0
PROGRESS_SECONDS: Final = 5.0
MOMENTS_MAX: Final = 120
"""How often a moment is waited for in which the exchange does nothing: on a machine that is held up
one look takes seconds, and what still rests may trade in each of them.
"""
PROBES: Final = 4
SERVERS_AND_EXCHANGE: Final = (*SERVERS, "exchange")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What to run: the seed of everything drawn; how long there is load, or for how many episodes
    of the nemesis, if they end before; by how many users.
    """

    seed: int
    seconds: float
    episodes: int | None = None
    users: int = 6
    workers: int = 2
    apis: int = 2


@dataclass(frozen=True)
class Run:
    """A soak that has ended: what came of it, and what to judge it by."""

    soaked: Soaked
    history: History
    evidence: Evidence


@asynccontextmanager
async def wired_stack(wanted: Wanted) -> AsyncIterator[tuple[DevStack, Wires]]:
    """A stack of its own with a proxy on every connection."""
    wires = Wires()
    stack = DevStack.temporary(workers=wanted.workers, apis=wanted.apis, alter=wires.alter)
    async with stack, wires.serving():  # its proxies are known once it is described
        try:
            await stack.wait_ready()
            yield stack, wires
        finally:
            await stack.close()  # while its processes can still reach each other


async def soak(
    wanted: Wanted,
    stack: DevStack,
    wires: Wires,
    *,
    stop: asyncio.Event,
    tell: Callable[[str], None],
) -> Run:
    """Run it on a stack that is ready; `stop` ends the load early, and nothing else."""
    history = History()
    began = time.monotonic()
    names = [f"soak-{wanted.seed}-{number}" for number in range(1, wanted.users + 1)]
    probes = [f"probe-{wanted.seed}-{number}" for number in range(PROBES)]
    async with (
        exchange_of(stack) as exchange,
        open_users(stack, names, history) as users,
        open_users(stack, probes, history) as probing,
    ):
        load = Load(users, wanted.seed, wanted.seconds)
        recovery = Recovery(stack, load, probing)
        nemesis = Nemesis(stack, Hands(stack, wires, exchange), recovery, tell)
        followers = followers_of(stack, users)
        async with all_following(followers):
            async with (
                recovery.open(),
                background(_progress(load, history, nemesis, tell)),
                asyncio.TaskGroup() as tasks,
            ):
                over = asyncio.Event()
                schedule = islice(episodes(wanted.seed, stack.names), wanted.episodes)
                tasks.create_task(load.run(over))
                striking = tasks.create_task(nemesis.run(schedule, over))
                stopping = tasks.create_task(stop.wait())
                await asyncio.wait(
                    [striking, stopping],
                    timeout=wanted.seconds,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                stopping.cancel()
                over.set()
            loaded = time.monotonic()
            tell("healed; cancelling what rests")
            await cancel_everything([*users, *probing])
            found, evidence = await _judge(stack, history, followers, tell)
            found += [Violation("L1", one, "no answer to its placement") for one in load.undecided]
            settled = time.monotonic()
            tell("restarting everything once")
            await restart_everything(stack)
            again, evidence = await _judge(stack, history, followers, tell)
    late = [one for one in evidence.venue.placements if one.at_ms > one.placement.send_by_ms]
    return Run(
        Soaked(
            seed=wanted.seed,
            load_seconds=loaded - began,
            settling_seconds=settled - loaded,
            orders=Counter(order.status for order in evidence.tables.orders),
            executions=len(evidence.venue.record.executions),
            calls=Counter(f"{call.op} {call.outcome}" for call in history.calls),
            blows=sorted(nemesis.blows, key=lambda blow: blow.at),
            violations=found,
            violations_after_restart=again,
            late_arrivals=len(late),
        ),
        history,
        evidence,
    )


async def restart_everything(stack: DevStack) -> None:
    """Stop and start every process once: ours, and then what they connect to."""
    for servers in (False, True):
        async with asyncio.TaskGroup() as tasks:
            for name in stack.names:
                if name != "migrations" and (name in SERVERS_AND_EXCHANGE) is servers:
                    tasks.create_task(_restart(stack, name))
    await stack.wait_ready()


async def _restart(stack: DevStack, name: str) -> None:
    await stack.stop(name)
    await stack.start(name)


async def _judge(
    stack: DevStack,
    history: History,
    followers: Sequence[Follower],
    tell: Callable[[str], None],
) -> tuple[list[Violation], Evidence]:
    """Wait until all is at rest; return everything that does not hold then, and by what."""
    tell("waiting until all is at rest")
    await settle(stack)  # what is not, the check finds
    tell("checking")
    evidence = await gather(stack, history, MOMENTS_MAX)
    return [*check(evidence), *_taken_late(evidence), *await _streams(stack, followers)], evidence


def _taken_late(evidence: Evidence) -> list[Violation]:
    """Orders that the exchange took after the last moment at which they might be sent."""
    send_by = {one.placement.client_order_id: one.placement for one in evidence.venue.placements}
    return [
        Violation("S17", order.client_order_id, f"taken {late_ms} ms past its send-by")
        for order in evidence.venue.record.orders
        if order.status != "rejected"
        and (late_ms := order.placed_at_ms - send_by[order.client_order_id].send_by_ms) > 0
    ]


async def _streams(stack: DevStack, followers: Sequence[Follower]) -> list[Violation]:
    """Where the streams, put together over all their connections, are not the event log."""
    found: list[Violation] = []
    database = await asyncpg.connect(stack.env["SHERWOOD_DATABASE_URL"])
    try:

        async def are_the_log() -> bool:
            seen: list[Violation] = []
            for one in followers:
                rows = await rows_of(database, one.user.user)
                texts = violations(one.name, one.heard, rows, one.shown)
                seen += [Violation("P2", one.user.user, text) for text in texts]
            found[:] = seen  # whole: the last look may be cut off
            return not found

        await comes_true(are_the_log, STREAMS_SECONDS)
    finally:
        await database.close()
    return found


async def _progress(
    load: Load, history: History, nemesis: Nemesis, tell: Callable[[str], None]
) -> None:
    while True:
        await asyncio.sleep(PROGRESS_SECONDS)
        waiting = len(load.undecided)
        tell(f"{len(history.calls)} calls, {len(nemesis.blows)} faults, {waiting} orders waiting")
