"""A node's order streams on a real Postgres and NATS: what they share, and what they survive."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from prometheus_client import REGISTRY

from brokerage.bus.connection import Bus, open_bus
from brokerage.contracts.commands import CancelRequested
from brokerage.contracts.subjects import orders_subject
from brokerage.runtime.settings import Settings
from brokerage.storage.migrate import migrate
from brokerage.storage.pool import Pool, open_pool
from devstack.stack import DevStack
from streaming.order_events import OrderStreams, UnknownUser, open_order_streams
from streaming.order_log import PAGE_EVENTS, TAIL_EVENTS, OrderStream, Terms
from tests.support.books import Books, books_of_a_new_user
from tests.support.eventually import eventually
from tests.support.proxy import proxy_to

BEAT_SECONDS = 0.2
RARE = Terms(heartbeat_seconds=60.0)
"""Beats that do not come while a test runs: it sees what notices alone do."""
OFTEN = Terms(heartbeat_seconds=BEAT_SECONDS)


@pytest.fixture
async def books(servers: DevStack) -> AsyncIterator[Books]:
    """A user with more cash than a test spends."""
    url = servers.env["SHERWOOD_DATABASE_URL"]
    await migrate(url)
    async with books_of_a_new_user(url, cash_cents=10**9) as books:
        yield books


@pytest.fixture
async def bus(servers: DevStack) -> AsyncIterator[Bus]:
    async with open_bus(servers.env["SHERWOOD_NATS_URL"], "test") as bus:
        yield bus


class Reader:
    """Reads a stream, unless it pauses; what it was told is in `events` (kind, id, data)."""

    def __init__(self, stream: OrderStream) -> None:
        self.stream = stream
        self.events: list[tuple[str, int | None, Any]] = []
        self.reads = asyncio.Event()
        self.reads.set()

    async def run(self) -> None:
        """Read to the end of the stream."""
        async for chunk in self.stream.chunks():
            self.events += events_in(chunk)
            await self.reads.wait()

    @property
    def seqs(self) -> list[int]:
        """The order events it was told of."""
        return [data["seq"] for kind, _, data in self.events if kind == "order"]

    def told(self, kind: str) -> list[Any]:
        """The data of all events of a kind."""
        return [data for known, _, data in self.events if known == kind]

    async def has(self, last_seq: int) -> None:
        """Wait until it was told of this event."""
        await eventually(lambda: self.seqs[-1:] == [last_seq], f"{last_seq} is told")


def events_in(chunk: bytes) -> list[tuple[str, int | None, Any]]:
    """The events of one chunk, which has whole ones only."""
    found = []
    for block in chunk.decode().removesuffix("\n\n").split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines())
        seq = int(fields["id"]) if "id" in fields else None
        found.append((fields["event"], seq, json.loads(fields["data"])))
    return found


class Node:
    """Order streams as a node has them, and readers for them."""

    def __init__(self, streams: OrderStreams, stack: AsyncExitStack) -> None:
        self.streams = streams
        self._stack = stack
        self._tasks: asyncio.TaskGroup | None = None

    async def reader(self, user_id: str, after: int | None = None) -> Reader:
        """Open a stream and read it until the node ends."""
        reader = Reader(await self.streams.open(user_id, after))
        task = asyncio.get_running_loop().create_task(reader.run())

        async def ends() -> None:
            reader.reads.set()
            await task
            self.streams.leave(reader.stream)

        self._stack.push_async_callback(ends)
        await eventually(lambda: bool(reader.events), "the stream begins")
        return reader


@asynccontextmanager
async def node(
    pool: "Callable[[], Pool[Any]]", bus: Bus | None, terms: Terms
) -> AsyncIterator[Node]:
    """A node as long as the block; its streams end with it."""
    stopping = asyncio.Event()
    async with (
        open_order_streams(pool, lambda: bus, stopping, terms) as streams,
        AsyncExitStack() as stack,
    ):
        try:
            yield Node(streams, stack)
        finally:
            stopping.set()


async def happen(books: Books, bus: Bus | None, events: int = 1) -> int:
    """Let events happen, each with its notice if there is a bus; the last one's sequence."""
    seq = 0
    for _ in range(events):
        await books.reserved(shares=1, limit_price_cents=16_000)
        seq = (await books.balances()).as_of_seq
        if bus is not None:
            await bus.publish(orders_subject(books.user_id), str(seq).encode())
    return seq


def reads(why: str) -> float:
    return counted("sherwood_order_stream_reads_total", why=why)


def counted(name: str, **labels: str) -> float:
    """What a metric of this process says."""
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def test_notice_costs_one_read_for_all_streams_of_a_user(books: Books, bus: Bus) -> None:
    async with node(lambda: books.pool, bus, RARE) as here:
        readers = [await here.reader(books.user_id) for _ in range(5)]
        before = reads("live")
        for _ in range(4):
            seq = await happen(books, bus)
            for reader in readers:
                await reader.has(seq)

        assert reads("live") - before == 4
        assert [reader.seqs for reader in readers] == [[1, 2, 3, 4]] * 5


async def test_notices_that_tell_nothing_new_cost_no_read(books: Books, bus: Bus) -> None:
    async with node(lambda: books.pool, bus, RARE) as here:
        reader = await here.reader(books.user_id)
        await reader.has(await happen(books, bus))
        before = reads("live")
        for notice in (b"0", b"1", b"1"):
            await bus.publish(orders_subject(books.user_id), notice)
        await reader.has(await happen(books, bus))

        assert reads("live") - before == 1


@pytest.mark.parametrize("notice", [b"", b"-7", b"x" * 500, b"99999"])
async def test_notice_that_is_none_or_lies_is_harmless(
    books: Books, bus: Bus, notice: bytes
) -> None:
    async with node(lambda: books.pool, bus, RARE) as here:
        reader = await here.reader(books.user_id)
        before = reads("live")
        await bus.publish(orders_subject(books.user_id), notice)
        await eventually(lambda: reads("live") > before, "it is looked into")
        await reader.has(await happen(books, bus))

        assert reader.seqs == [1]
        assert reads("live") - before == 2


async def test_lost_notices_cost_a_beat(books: Books, bus: Bus) -> None:
    async with node(lambda: books.pool, bus, OFTEN) as here:
        reader = await here.reader(books.user_id)
        await reader.has(await happen(books, None, events=3))

        assert reader.seqs == [1, 2, 3]


async def test_without_a_bus_beats_alone_tell_everything(books: Books) -> None:
    async with node(lambda: books.pool, None, OFTEN) as here:
        reader = await here.reader(books.user_id)
        await reader.has(await happen(books, None, events=3))

        assert reader.seqs == [1, 2, 3]


async def test_beat_is_one_question_for_all_users_of_the_node(servers: DevStack) -> None:
    asked = 0
    url = servers.env["SHERWOOD_DATABASE_URL"]
    await migrate(url)
    async with AsyncExitStack() as stack:
        users = [await stack.enter_async_context(books_of_a_new_user(url)) for _ in range(4)]

        def pool() -> "Pool[Any]":
            nonlocal asked
            asked += 1
            return users[0].pool

        async with node(pool, None, OFTEN) as here:
            readers = [await here.reader(user.user_id) for user in users for _ in range(2)]
            asked, beats = 0, len(readers[0].told("heartbeat"))
            await eventually(
                lambda: len(readers[0].told("heartbeat")) >= beats + 4, "four beats are told"
            )
            told = len(readers[0].told("heartbeat")) - beats

            assert asked <= told + 1


async def test_heartbeat_comes_after_all_it_speaks_of(books: Books) -> None:
    async with node(lambda: books.pool, None, OFTEN) as here:
        reader = await here.reader(books.user_id)
        seq = await happen(books, None, events=5)
        await eventually(lambda: {"lastSeq": seq} in reader.told("heartbeat"), "a beat says so")

        seen = 0
        for kind, _, data in reader.events:
            seen = data["seq"] if kind == "order" else seen
            assert kind != "heartbeat" or data["lastSeq"] <= seen


async def test_stream_that_reads_late_is_told_everything_and_nothing_is_kept_for_it(
    books: Books, bus: Bus
) -> None:
    async with node(lambda: books.pool, bus, RARE) as here:
        slow, fast = [await here.reader(books.user_id) for _ in range(2)]
        slow.reads.clear()
        await slow.has(await happen(books, bus))
        last_seq = await happen(books, bus, events=TAIL_EVENTS + PAGE_EVENTS // 2)
        await fast.has(last_seq)
        before = reads("replay")
        assert slow.seqs == [1], "it took more than what was on its way"
        slow.reads.set()
        await slow.has(last_seq)

        assert slow.seqs == fast.seqs == list(range(1, last_seq + 1))
        assert reads("replay") > before, "it was not far enough behind"
        assert fast.stream.log.after(last_seq - TAIL_EVENTS) is not None
        assert fast.stream.log.after(last_seq - TAIL_EVENTS - 1) is None


async def test_log_of_an_older_database_resets_those_who_know_more(books: Books) -> None:
    async with node(lambda: books.pool, None, OFTEN) as here:
        reader = await here.reader(books.user_id)
        await reader.has(await happen(books, None, events=4))
        await go_back(books, 2)
        await eventually(lambda: bool(reader.told("reset")), "it is told")
        await happen(books, None)
        await eventually(lambda: len(reader.seqs) == 5, "it goes on")

        assert reader.told("reset") == [{"lastSeq": 2}]
        assert reader.seqs == [1, 2, 3, 4, 3]


async def go_back(books: Books, seq: int) -> None:
    """Restore a backup, as far as the log is concerned."""
    async with books.pool.acquire() as database, database.transaction():
        await database.execute("SET LOCAL session_replication_role = replica")
        await database.execute(
            "DELETE FROM order_events WHERE user_id = $1 AND seq > $2", books.user_id, seq
        )
        await database.execute(
            "UPDATE accounts SET event_seq = $2 WHERE user_id = $1", books.user_id, seq
        )


async def test_stream_outlives_postgres_and_says_that_it_does_not_know(
    servers: DevStack, books: Books, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As long as a node really waits, however patient the books of a test are.
    monkeypatch.setattr("brokerage.storage.pool.STATEMENT_TIMEOUT_SECONDS", 2.0)
    async with proxy_to(servers.env["SHERWOOD_DATABASE_URL"]) as way:
        settings = Settings(database_url=way.url)
        async with open_pool(settings) as pool, node(lambda: pool, bus, OFTEN) as here:
            reader = await here.reader(books.user_id)
            await reader.has(await happen(books, bus))
            way.hold()
            last_seq = await happen(books, bus, events=3)
            await eventually(lambda: {"lastSeq": None} in reader.told("heartbeat"), "it says so")
            assert reader.seqs == [1]
            way.let_go()
            await reader.has(last_seq)
            await eventually(
                lambda: reader.told("heartbeat")[-1] == {"lastSeq": last_seq}, "it knows again"
            )

            assert reader.seqs == [1, 2, 3, 4]


async def test_stream_of_many_events_comes_in_pages_while_more_happens(
    books: Books, bus: Bus
) -> None:
    await happen(books, None, events=2 * PAGE_EVENTS + 1)
    async with node(lambda: books.pool, bus, RARE) as here:
        reader = await here.reader(books.user_id, after=0)
        last_seq = await happen(books, bus, events=10)
        await reader.has(last_seq)

        assert reader.seqs == list(range(1, last_seq + 1))


async def test_stream_ends_when_the_node_stops_and_when_it_has_lived_long_enough(
    books: Books, bus: Bus
) -> None:
    stopping = asyncio.Event()
    short = Terms(heartbeat_seconds=BEAT_SECONDS, lifetime_seconds=(0.3, 0.3))
    async with open_order_streams(lambda: books.pool, lambda: bus, stopping, short) as streams:
        old = Reader(await streams.open(books.user_id, None))
        async with asyncio.timeout(60):
            await old.run()
    async with open_order_streams(lambda: books.pool, lambda: bus, stopping, RARE) as streams:
        cut_short = Reader(await streams.open(books.user_id, None))
        async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
            tasks.create_task(cut_short.run())
            await eventually(lambda: bool(cut_short.events), "the stream begins")
            stopping.set()

    assert [reader.events[0][0] for reader in (old, cut_short)] == ["hello", "hello"]


async def test_last_stream_of_a_user_takes_everything_along(books: Books, bus: Bus) -> None:
    before = counted("sherwood_order_streams")
    async with open_order_streams(
        lambda: books.pool, lambda: bus, asyncio.Event(), RARE
    ) as streams:
        opened = [await streams.open(books.user_id, None) for _ in range(2)]
        subscriptions = len(bus.client._subs)
        for stream in opened:
            streams.leave(stream)
        await eventually(lambda: len(bus.client._subs) == subscriptions - 1, "nobody listens")
        with pytest.raises(UnknownUser):
            await streams.open("nobody-at-all", None)

    assert counted("sherwood_order_streams") == before
    assert counted("sherwood_order_stream_users") == 0


async def test_cancelled_and_other_events_of_an_order_come_in_their_order(
    books: Books, bus: Bus
) -> None:
    async with node(lambda: books.pool, bus, RARE) as here:
        reader = await here.reader(books.user_id)
        key = await books.reserved()
        cancel = CancelRequested(key.order_id, key.user_id, key.user_id, "")
        await books.orders.request_cancel(cancel)
        await bus.publish(orders_subject(books.user_id), b"2")
        await reader.has(2)

        assert [event["kind"] for event in reader.told("order")] == ["placed", "cancel-requested"]
        assert [event["order"]["version"] for event in reader.told("order")] == [1, 2]
