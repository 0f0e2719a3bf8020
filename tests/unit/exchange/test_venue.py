"""Nothing leaves the exchange before it is durable."""

import asyncio
import sqlite3
from collections.abc import Sequence
from datetime import time

import pytest

from exchange import protocol
from exchange.engine import EngineState
from exchange.feed_faults import FeedFaults
from exchange.hub import FeedConnection, Hub
from exchange.inputs import Entry, Halt, Outcome, Place
from exchange.records import NoArchive, Order
from exchange.registry import Changes
from exchange.replay_log import ReplayLog
from exchange.venue import Venue, VenueFailed
from tests.unit.exchange.market_of import Exchange, placement


class Memory(NoArchive):
    """A journal that notes the sizes of its groups; with `broken` set, a disk that is full."""

    def __init__(self, reader: FeedConnection) -> None:
        self.groups: list[int] = []
        self.broken = False
        self.frames_before_commit: list[int] = []
        self._reader = reader

    def write(
        self,
        group: Sequence[tuple[Entry, Outcome]],
        changes: Changes,
        position: int,
        at_ms: int,
        checkpoint: EngineState | None = None,
        checkpoint_orders: Sequence[Order] = (),
    ) -> None:
        if self.broken:
            raise sqlite3.OperationalError("disk full")
        self.frames_before_commit.append(len(self._reader.frames))
        self.groups.append(len(group))


class World:
    def __init__(self, exchange: Exchange | None = None) -> None:
        exchange = exchange or Exchange()
        exchange.engine.floor.trades.clear()
        hub = Hub(ReplayLog(4, 10**6), FeedFaults(seed=1), backlog_bytes_max=10**6)
        self.reader = FeedConnection("m", lambda: None)
        hub.attach(self.reader)
        self.journal = Memory(self.reader)
        self.failures: list[str] = []
        self.venue = Venue(
            exchange.engine,
            self.journal,  # type: ignore[arg-type]
            hub,
            speed=20,
            sessions="off",
            day_end=time(16, 0),
            at_ms=0,
            failed=lambda: self.failures.append("failed"),
        )


def place(client_order_id: str) -> Place:
    return Place(placement(client_order_id, send_by_ms=2**60))


async def test_requests_of_one_turn_are_one_commit() -> None:
    world = World()

    async with asyncio.TaskGroup() as tasks:
        for number in range(20):
            tasks.create_task(world.venue.submit("m", [place(f"c{number}"), place(f"d{number}")]))

    assert world.journal.groups == [40]


async def test_execution_is_sent_only_after_its_commit() -> None:
    world = World()

    replies = await world.venue.submit("m", [place("c1")])

    assert isinstance(replies[0], protocol.PlacementReply)
    assert world.journal.frames_before_commit == [0]
    assert len(world.reader.frames) == 1


async def test_journal_that_cannot_be_written_stops_the_exchange_and_answers_nothing() -> None:
    world = World()
    world.journal.broken = True

    with pytest.raises(VenueFailed):
        await world.venue.submit("m", [place("c1")])
    world.journal.broken = False
    with pytest.raises(VenueFailed):
        await world.venue.submit("m", [place("c2")])
    world.venue.tick(1.0)

    assert world.failures == ["failed"]
    assert len(world.reader.frames) == 0
    assert world.journal.groups == []


async def test_frozen_process_does_not_catch_up() -> None:
    world = World()

    world.venue.tick(3600.0)

    assert 0 < world.venue.engine.market.position < 100


async def test_day_orders_from_before_the_last_day_end_expire_at_the_first_tick() -> None:
    exchange = Exchange()
    exchange.place("day", price_cents=1)
    exchange.place("gtc", price_cents=1, time_in_force="gtc")
    world = World(exchange)

    world.venue.tick(0.0)
    world.venue.tick(0.0)

    live = [order.client_order_id for order in exchange.engine.registry.live_orders()]
    assert live == ["gtc"]
    assert world.journal.groups.count(1) == 1


async def test_halt_is_told_to_members_after_its_commit_with_the_version_that_beats_name() -> None:
    world = World()

    await world.venue.submit("", [Halt("REC", halted=True)])
    frames = [frame.decode() for frame in world.reader.frames]
    world.venue.beat()

    assert world.journal.frames_before_commit == [0]
    assert ['"halted":["REC"]' in frame for frame in frames] == [True]
    assert world.venue.trading.version == 2
    assert '"tradingVersion":2' in world.reader.frames[-1].decode()


async def test_closed_market_stands_still_and_goes_on_where_it_was() -> None:
    world = World()
    market = world.venue.engine.market
    world.venue.tick(1.0)
    world.venue.switch_sessions("closed")

    before = market.position
    world.venue.tick(1.0)
    closed = market.position
    world.venue.switch_sessions("off")
    world.venue.tick(0.1)

    assert before == closed
    assert before < market.position < before + 100
