"""Bars in a real Postgres: each trade in them once, whoever dies when, and one writer only."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

import asyncpg
import pytest

from brokerage.domain.bars import Bar, BarInterval
from brokerage.runtime.settings import Settings
from brokerage.storage.bar_writes import (
    BarKey,
    BarStore,
    Progress,
    Superseded,
    open_bar_store,
)
from brokerage.storage.migrate import migrate
from devstack.stack import DevStack
from exchange.protocol import Trade
from streaming import bar_writer
from streaming.bar_writer import BarWriter
from streaming.bars import ROWS_WAITING_MAX, BarBook
from tests.support.bars import StoredBars, bars_of, stored_bars
from tests.support.books import PATIENT
from tests.support.eventually import eventually
from tests.support.own_database import own_database

SYMBOLS = ("AAPL", "BRK.B", "META")
OpenStore = Callable[[], AbstractAsyncContextManager[BarStore]]


@pytest.fixture
async def url(servers: DevStack) -> AsyncIterator[str]:
    """A migrated database that nobody else uses."""
    async with own_database(servers.env["SHERWOOD_DATABASE_URL"]) as url:
        yield url


@pytest.fixture
async def stored(url: str) -> AsyncIterator[StoredBars]:
    """A look at its bars."""
    async with stored_bars(url) as stored:
        yield stored


class Market:
    """The exchange, as far as bars go: all its trades, and who follows them."""

    def __init__(self) -> None:
        self.trades: list[Trade] = []
        # Of today: what is older than its retention may be dropped at any time.
        self.at_ms = int(time.time() * 1000)
        self.follower: BarBook | None = None

    def trade(self, count: int = 1) -> None:
        """Trade, a third of a second apart, and let whoever follows know."""
        begin = len(self.trades)
        for seq in range(begin + 1, begin + count + 1):
            self.at_ms += 333
            price_cents = 10_000 + seq * 7_919 % 1_000
            self.trades.append(Trade(seq, SYMBOLS[seq % 3], price_cents, seq, self.at_ms))
        if self.follower is not None and count:
            self.follower.take(self.trades[begin:])
            self.replay()

    def follow(self, book: BarBook) -> None:
        """Connect, without asking for anything that was before."""
        self.follower = book
        book.connected("s1", len(self.trades), asked_seq=None)

    def replay(self) -> bool:
        """Connect once more, as the feed does when its book wants it to."""
        book = self.follower
        if book is not None and book.wants_replay:
            asked_seq = book.taken_seq
            book.connected("s1", len(self.trades), asked_seq)
            book.take(self.trades[asked_seq:])
        return book is not None and not book.refusing


def opening(url: str, kind: type[BarStore] = BarStore) -> OpenStore:
    """How a writer opens the store at that URL."""

    @asynccontextmanager
    async def open_store() -> AsyncIterator[BarStore]:
        async with open_bar_store(Settings(database_url=url), PATIENT) as store:
            yield store if kind is BarStore else kind(store._pool)

    return open_store


@asynccontextmanager
async def writing(
    market: Market, open_store: OpenStore, epoch: int, rows_waiting_max: int = ROWS_WAITING_MAX
) -> AsyncIterator["asyncio.Task[None]"]:
    """A new owner of the feed that writes bars, from the moment on that it misses no trade."""
    book = BarBook(rows_waiting_max)
    writer = BarWriter(book, open_store, write_every_seconds=0.02)
    market.follow(book)
    async with asyncio.TaskGroup() as tasks:

        async def run() -> None:
            with suppress(Crash):
                await writer.run(epoch)

        task = tasks.create_task(run())
        try:
            await eventually(lambda: market.replay() or task.done(), "the bars are followed")
            yield task
        finally:
            task.cancel()


class Crash(Exception):
    """What stands for the end of a process: nothing after it is done."""


class CrashingStore(BarStore):
    """A store under which its process dies, at `step`."""

    step = ""

    async def claim(self, epoch: int) -> Progress | None:
        self._reach("claim")
        progress = await super().claim(epoch)
        self._reach("claimed")
        return progress

    async def open_bars(self, at_ms: int) -> dict[BarInterval, dict[str, Bar]]:
        bars = await super().open_bars(at_ms)
        self._reach("resumed")
        return bars

    async def write(
        self, epoch: int, progress: Progress, bars: Mapping[BarInterval, Mapping[BarKey, Bar]]
    ) -> None:
        self._reach("write")
        await super().write(epoch, progress, bars)
        self._reach("written")

    def _reach(self, step: str) -> None:
        if step == self.step:
            raise Crash(step)


async def test_every_trade_is_in_its_bars(url: str, stored: StoredBars) -> None:
    market = Market()

    async with writing(market, opening(url), epoch=1):
        for _ in range(20):
            market.trade(15)
            await eventually(lambda: stored.reach(len(market.trades)), "the trades are stored")

    assert await stored.all() == bars_of(market.trades)
    assert await stored.progress() == Progress("s1", 300, market.at_ms)


async def test_feed_that_is_stopped_stores_its_last_second(
    url: str, stored: StoredBars, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Half a second, partitions included, is for those who wait; here nobody does.
    monkeypatch.setattr(bar_writer, "LAST_WRITE_SECONDS", PATIENT.statement)
    market = Market()
    book = BarBook()
    writer = BarWriter(book, opening(url), write_every_seconds=3600)
    market.follow(book)

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(writer.run(1))
        await eventually(market.replay, "the bars are followed")
        market.trade(10)
        task.cancel()

    assert await stored.all() == bars_of(market.trades)
    assert book.refusing


@pytest.mark.parametrize("step", ["claim", "claimed", "resumed", "write", "written"])
async def test_next_owner_goes_on_exactly_wherever_the_last_one_died(
    url: str, stored: StoredBars, step: str
) -> None:
    market = Market()
    async with writing(market, opening(url), epoch=1):
        market.trade(20)
        await eventually(lambda: stored.reach(20), "the first trades are stored")

    class Dying(CrashingStore):
        pass

    Dying.step = step
    async with writing(market, opening(url, Dying), epoch=2) as died:
        market.trade(5)
        await eventually(died.done, f"the owner died at {step}")
    market.follower = None
    market.trade(7)
    async with writing(market, opening(url), epoch=3):
        market.trade(2)
        await eventually(lambda: stored.reach(34), "all trades are stored")

    assert await stored.all() == bars_of(market.trades)


async def test_write_that_is_cut_off_half_way_leaves_nothing(url: str, stored: StoredBars) -> None:
    market = Market()
    async with writing(market, opening(url), epoch=1):
        market.trade(20)
        await eventually(lambda: stored.reach(20), "the first trades are stored")
        bars, progress = await stored.all(), await stored.progress()

        cut: list[int] = []
        async with stored.database.transaction():
            # Days are written last: seconds and minutes are in, and the progress.
            await stored.database.execute("LOCK TABLE bars_1d IN EXCLUSIVE MODE")
            market.trade(5)

            async def cut_off() -> bool:
                waiting = await stored.database.fetch(
                    "SELECT pid, pg_terminate_backend(pid) FROM pg_locks "
                    "WHERE relation = 'bars_1d'::regclass AND NOT granted"
                )
                cut.extend(row["pid"] for row in waiting)
                return bool(cut)

            await eventually(cut_off, "a write waits for the days")
            assert await stored.progress() == progress
            assert await stored.all() == bars
        await eventually(lambda: stored.reach(25), "the same trades are stored at last")

    assert await stored.all() == bars_of(market.trades)


async def test_newer_owner_shuts_the_older_out(url: str, stored: StoredBars) -> None:
    market, old_market = Market(), Market()
    old_market.at_ms = market.at_ms
    refused: list[Superseded] = []

    async with asyncio.TaskGroup() as tasks:
        old = BarBook()
        old_market.follow(old)

        async def write_as_old() -> None:
            try:
                await BarWriter(old, opening(url), write_every_seconds=0.02).run(4)
            except Superseded as error:
                refused.append(error)

        tasks.create_task(write_as_old())
        await eventually(old_market.replay, "the old owner follows")
        for both in (old_market, market):
            both.trade(10)
        await eventually(lambda: stored.reach(10), "the old owner writes")
        async with writing(market, opening(url), epoch=5):
            # The old one hears a trade more, which the new one has not heard yet.
            old_market.trade(30)
            await eventually(lambda: bool(refused), "the old owner is refused")
            assert await stored.reach(10)
            assert not await stored.reach(11)
            market.trade(3)
            await eventually(lambda: stored.reach(13), "the new owner writes")

    assert refused[0].epoch == 5
    assert old.refusing
    assert await stored.all() == bars_of(market.trades)
    async with open_bar_store(Settings(database_url=url), PATIENT) as store:
        with pytest.raises(Superseded):
            await store.claim(4)


async def test_claim_sees_what_a_write_under_way_has_stored(url: str, stored: StoredBars) -> None:
    market = Market()
    async with writing(market, opening(url), epoch=1):
        market.trade(20)
        await eventually(lambda: stored.reach(20), "the first trades are stored")
    claims: list[Progress | None] = []

    async def claim() -> None:
        async with open_bar_store(Settings(database_url=url), PATIENT) as store:
            claims.append(await store.claim(2))

    async def waits() -> bool:
        found: bool = await stored.database.fetchval(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"
        )
        return found

    async with asyncio.TaskGroup() as tasks, stored.database.transaction():
        # As far as the row goes, this is what a write does.
        await stored.database.execute("UPDATE bar_progress SET trade_seq = 25 WHERE epoch = 1")
        tasks.create_task(claim())
        await eventually(waits, "the claim waits")
        assert claims == []

    assert claims == [Progress("s1", 25, market.at_ms)]


@pytest.mark.parametrize(("rows_waiting_max", "full"), [(ROWS_WAITING_MAX, False), (50, True)])
async def test_bars_outlast_a_postgres_that_is_away(rows_waiting_max: int, full: bool) -> None:
    market = Market()
    async with DevStack.temporary(only=["postgres"]) as stack:
        await stack.wait_ready()
        url = stack.env["SHERWOOD_DATABASE_URL"]
        await migrate(url)
        async with writing(market, opening(url), 1, rows_waiting_max):
            market.trade(20)
            async with stored_bars(url) as stored:
                await eventually(lambda: stored.reach(20), "the first trades are stored")

            await stack.stop("postgres")
            for _ in range(20):
                market.trade(10)
            assert market.follower is not None
            assert (market.follower.taken_seq < 220) == full
            with pytest.raises((OSError, asyncpg.PostgresError)):
                await asyncpg.connect(url, timeout=2)
            await stack.start("postgres")

            async def all_there() -> bool:
                market.replay()
                try:
                    async with stored_bars(url) as stored:
                        return await stored.reach(220)
                except (OSError, asyncpg.PostgresError) as error:
                    raise AssertionError("Postgres is not there yet") from error

            await eventually(all_there, "what was traded meanwhile is stored", 60)
            async with stored_bars(url) as stored:
                assert await stored.all() == bars_of(market.trades)


async def test_store_opens_before_its_tables_are_there(servers: DevStack) -> None:
    market = Market()
    async with own_database(servers.env["SHERWOOD_DATABASE_URL"], migrated=False) as url:
        book = BarBook()
        market.follow(book)
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(BarWriter(book, opening(url)).run(1))
            market.trade(10)
            await migrate(url)
            await eventually(market.replay, "the bars are followed")
            async with stored_bars(url) as stored:
                await eventually(lambda: stored.reach(10), "the trades are stored")
                assert await stored.all() == bars_of(market.trades)
            task.cancel()
