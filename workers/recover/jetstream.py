"""JetStream's store was lost: the exchange replays what is not booked, the rest is made anew."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any, Final

from brokerage.bus.connection import Bus
from brokerage.bus.execution_streams import (
    ExecutionStreams,
    begin_executions_anew,
    execution_streams,
)
from brokerage.bus.kill_switch import SwitchAbsent, read_switch
from brokerage.bus.streams import ensure_streams
from brokerage.contracts.statements import PositionsRequest
from brokerage.contracts.subjects import FEED_BEAT
from brokerage.gateway.exchange import open_exchange
from brokerage.gateway.statements import Statements
from brokerage.runtime.settings import Settings
from brokerage.storage.pool import Pool
from brokerage.storage.reads import settled_feed_seq
from workers.recover.preconditions import Reached, Refused, Tell

BEAT_SECONDS: Final = 4.0
"""A feed that hears the exchange says so every second."""
TELL_SECONDS: Final = 1.0
STUCK_SECONDS: Final = 60.0
"""Without any progress for this long it is given up; the feed goes on all the same."""


async def recover_jetstream(settings: Settings, tell: Tell) -> None:
    """Streams and buckets again, filled from the exchange after the last report that is booked.

    Feed and executions process must run: they do the work. Raises `Refused`, `BusUnavailable`,
    `DatabaseUnavailable`.
    """
    async with AsyncExitStack() as stack:
        reached = Reached(settings, stack)
        bus = await reached.nats()
        await ensure_streams(bus)
        await _feed_is_there(bus)
        pool = await reached.postgres()
        exchange = await stack.enter_async_context(
            open_exchange(settings.exchange_url, settings.exchange_member)
        )
        stated = await Statements(bus, exchange).positions(PositionsRequest())
        if stated.outcome != "stated":
            raise Refused(f"the exchange does not answer: {stated.reason}")
        goal = stated.sequence
        settled = await settled_feed_seq(pool)
        streams = await execution_streams(bus)
        tell(f"the exchange has told {goal} reports; the first {settled} are booked without a gap")
        if settled < goal and not 0 < streams.first_feed_seq <= settled + 1:
            await begin_executions_anew(bus)
            tell(f"the stream of executions lacked some: the feed replays from {settled + 1}")
        streams = await _caught_up(bus, pool, goal, tell)
        booked = await settled_feed_seq(pool)
        closed = await _kill_switch_is_absent(bus)
    tell(
        f"done: {booked - settled} reports booked that were not;"
        f" aside lie {streams.parked} parked and {streams.dead} dead letters"
    )
    if closed:
        tell(
            "no order passes: what the kill switch was set to is lost. Open with"
            " `python -m workers.kill_switch --level 0 --reason WHY`"
        )


async def _feed_is_there(bus: Bus) -> None:
    heard = asyncio.Event()

    async def hear(subject: str, payload: bytes) -> None:
        heard.set()

    subscription = await bus.subscribe(FEED_BEAT, hear)
    try:
        async with asyncio.timeout(BEAT_SECONDS):
            await heard.wait()
    except TimeoutError:
        raise Refused("no feed runs that the exchange talks to: start `workers.feed`") from None
    finally:
        await subscription.close()


async def _caught_up(bus: Bus, pool: "Pool[Any]", goal: int, tell: Tell) -> ExecutionStreams:
    """Return once all up to `goal` is booked, or lies aside. Raises `Refused` when it stands."""
    clock = asyncio.get_running_loop().time
    seen: tuple[int, ExecutionStreams] | None = None
    moved_at = clock()
    while True:
        settled = await settled_feed_seq(pool)
        streams = await execution_streams(bus)
        handed_out = streams.last_feed_seq >= goal and streams.waiting == 0
        if settled >= goal or handed_out:
            return streams
        if (settled, streams) != seen:
            seen, moved_at = (settled, streams), clock()
            tell(f"replayed up to {streams.last_feed_seq}, {streams.waiting} reports wait")
        elif clock() - moved_at > STUCK_SECONDS:
            raise Refused(
                f"{streams.waiting} reports are not booked: are the executions process and the"
                " order workers there, and Temporal? Then repeat this"
            )
        await asyncio.sleep(TELL_SECONDS)


async def _kill_switch_is_absent(bus: Bus) -> bool:
    try:
        await read_switch(bus)
    except SwitchAbsent:
        return True
    return False
