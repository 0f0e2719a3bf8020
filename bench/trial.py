"""One run: users live their wishes while processes are killed, and then the books are compared."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from bench.checks import Difference, check, in_flight, open_orders
from bench.faults import Faults, Strikes, faults_in_force, never_struck
from bench.kills import Kill, Killed, carry_out, planned_kills
from bench.plan import Wish
from bench.records import Records, open_records
from bench.target import Target
from bench.traders import Outcome, Traders, trading
from brokerage.storage.audit import Audit
from exchange.protocol import Status

SETTLE_SECONDS: Final = 120.0
"""An order of unknown outcome takes its send-by and the exchange's visibility, with pauses that
grow to ten seconds.
"""
LOOK_SECONDS: Final = 0.5
NO_FAULTS: Final = Faults()


@dataclass(frozen=True)
class Trial:
    """What came of a run. `differences` are those that stayed until the deadline."""

    wishes: Sequence[Wish]
    outcome: Outcome
    ours: Audit
    differences: Sequence[Difference]
    killed: Sequence[Killed]
    strikes: Sequence[Strikes]
    exchange: Status
    trading_seconds: float
    settling_seconds: float
    by_status: Counter[str] = field(default_factory=Counter)

    @property
    def is_good(self) -> bool:
        """True if nothing differs, nobody was left without an answer, and all that was to go wrong
        did: each kill happened, each kind of fault struck.
        """
        return (
            not self.differences
            and not self.outcome.lost
            and all(killed.happened for killed in self.killed)
            and not never_struck(self.strikes)
        )


async def run_trial(
    target: Target,
    wishes: Sequence[Wish],
    *,
    kill: Sequence[str] = (),
    faults: Faults = NO_FAULTS,
    seed: int = 0,
    cancel_rest: bool = False,
    progress: Callable[[int], None] = lambda placed: None,
    tell: Callable[[str], None] = lambda text: None,
) -> Trial:
    """Run it; `progress` hears how many wishes are dealt with, `tell` what goes on.

    The faults stay in force until the books are compared: what repairs them meets them too.
    With `cancel_rest` the users cancel what still rests at the end.
    """
    kills = planned_kills(kill, len(wishes), random.Random(seed))
    count = Count(progress)
    began = time.monotonic()
    async with (
        open_records(target.env) as records,
        faults_in_force(target.env, faults) as in_force,
        trading(target.api_url, wishes, count.one_more, in_force.late_fill) as traders,
    ):
        async with asyncio.TaskGroup() as tasks:
            killing = [tasks.create_task(_kill(target, one, count, tell)) for one in kills]
            tasks.create_task(traders.live(wishes))
        traded = time.monotonic()
        if cancel_rest:
            tell("cancelling what rests")
            await _cancel_rest(records, traders, wishes)
        # Before our own look at the exchange's lists, which is a connection as well.
        exchange = await records.status()
        ours, differences = await settle(records, tell)
        return Trial(
            wishes=wishes,
            outcome=traders.outcome,
            ours=ours,
            differences=differences,
            killed=[task.result() for task in killing],
            strikes=await in_force.strikes(),
            exchange=exchange,
            trading_seconds=traded - began,
            settling_seconds=time.monotonic() - traded,
            by_status=Counter(order.status for order in ours.orders),
        )


class Count:
    """Counts wishes and lets others wait for a number of them."""

    def __init__(self, progress: Callable[[int], None]) -> None:
        self._progress = progress
        self.placed = 0
        self._waiting: list[tuple[int, asyncio.Event]] = []

    def one_more(self) -> None:
        """One more wish is dealt with."""
        self.placed += 1
        self._progress(self.placed)
        for number, event in self._waiting:
            if self.placed >= number:
                event.set()

    async def reached(self, number: int) -> None:
        """Return when that many are."""
        event = asyncio.Event()
        self._waiting.append((number, event))
        if self.placed >= number:
            event.set()
        await event.wait()


async def _kill(target: Target, kill: Kill, count: Count, tell: Callable[[str], None]) -> Killed:
    await count.reached(kill.after_orders)
    tell(f"killing {kill.name} after {count.placed} orders")
    return await carry_out(target, kill)


async def _cancel_rest(records: Records, traders: Traders, wishes: Sequence[Wish]) -> None:
    users = {wish.user for wish in wishes}
    resting = [one for one in open_orders(await records.ours()) if one.user_id in users]
    async with asyncio.TaskGroup() as tasks:
        for order in resting:
            client = traders.users[order.user_id]
            tasks.create_task(traders.cancel(client, UUID(order.order_id)))


async def settle(records: Records, tell: Callable[[str], None]) -> tuple[Audit, list[Difference]]:
    """Wait until nothing is in flight and both sides agree, or the time is up.

    The market goes on, so a comparison can see an execution on one side first: only what differs
    for good is a difference.
    """
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        ours = await records.ours()
        differences = check(ours, await records.theirs())
        if not differences or time.monotonic() > deadline:
            return ours, differences
        flying = len(in_flight(ours))
        tell(f"settling: {flying} orders in flight, {len(differences)} differences")
        await asyncio.sleep(LOOK_SECONDS)
