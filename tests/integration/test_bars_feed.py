"""The feed's bars in a real Postgres: every trade is in them, or is counted as missing."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
from prometheus_client import REGISTRY

from brokerage.bus.connection import Bus, BusUnavailable, open_bus
from brokerage.bus.last_price import LastPrices
from brokerage.bus.lease import LeaseTiming
from brokerage.runtime.settings import Settings
from brokerage.storage.bar_writes import Progress, open_bar_store
from devstack.stack import DevStack
from streaming import following
from streaming.feed import Feed
from tests.support.bars import StoredBars, bars_of, stored_bars
from tests.support.eventually import eventually
from tests.support.feeds import following_feed
from tests.support.nats_server import NatsServer
from tests.support.own_database import own_database
from tests.support.scripted_feed import ScriptedFeed, scripted_feed

UNHURRIED = LeaseTiming(length_seconds=15.0)


@pytest.fixture
async def exchange() -> AsyncIterator[ScriptedFeed]:
    async with scripted_feed() as feed:
        # Of today: bars that are older than their retention may be dropped at any time.
        feed.at_ms = int(time.time() * 1000)
        feed.trade("AAPL", 15_000)
        feed.trade("BRK.B", 40_000)
        feed.trade("AAPL", 15_100)
        yield feed


@pytest.fixture
async def url(servers: DevStack) -> AsyncIterator[str]:
    async with own_database(servers.env["SHERWOOD_DATABASE_URL"]) as url:
        yield url


@pytest.fixture
async def stored(url: str) -> AsyncIterator[StoredBars]:
    async with stored_bars(url) as stored:
        yield stored


@pytest.fixture(autouse=True)
def calm(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that stands still for a while is no reason to connect anew."""
    monkeypatch.setattr(following, "SILENCE_SECONDS", 60.0)
    monkeypatch.setattr(following, "OPEN_SECONDS", 60.0)


@asynccontextmanager
async def feed_with_bars(exchange: ScriptedFeed, nats: NatsServer, url: str) -> AsyncIterator[Feed]:
    """A run of the feed that is live and can reach Postgres."""
    open_store = partial(open_bar_store, Settings(database_url=url))
    async with following_feed(
        exchange.url, nats.url, open_bar_store=open_store, timing=UNHURRIED
    ) as feed:
        yield feed


async def send(exchange: ScriptedFeed, *trades: tuple[str, int]) -> None:
    """Trade, and tell whoever is connected."""
    await exchange.send(*(exchange.trade(symbol, price_cents) for symbol, price_cents in trades))


def skipped() -> float:
    """How many trades are in no bar, by the feed's own count."""
    return REGISTRY.get_sample_value("sherwood_bars_trades_skipped_total") or 0.0


async def test_first_run_has_every_trade_that_is_still_replayed(
    exchange: ScriptedFeed, nats: NatsServer, url: str, stored: StoredBars
) -> None:
    async with feed_with_bars(exchange, nats, url):
        await send(exchange, ("AAPL", 14_900), ("META", 52_210))
        await eventually(lambda: stored.reach(5), "the trades are stored")

    assert await stored.all() == bars_of(exchange.trades)
    # Prices came first, from a snapshot; one connection more brought what the bars lacked.
    assert [query.get("afterTrade") for query in exchange.queries] == [None, "0"]


async def test_next_run_goes_on_after_the_last_trade_that_is_stored(
    exchange: ScriptedFeed, nats: NatsServer, url: str, stored: StoredBars
) -> None:
    async with feed_with_bars(exchange, nats, url):
        await eventually(lambda: stored.reach(3), "the trades are stored")
    before = skipped()
    exchange.trade("AAPL", 16_000)
    exchange.at_ms += 1_000
    exchange.trade("AAPL", 14_000)

    async with feed_with_bars(exchange, nats, url):
        await send(exchange, ("BRK.B", 41_000))
        await eventually(lambda: stored.reach(6), "the trades are stored")
        async with open_bus(nats.url, "test") as bus:
            await eventually(partial(shows_the_day, bus), "the last tick shows the day")

    assert await stored.all() == bars_of(exchange.trades)
    assert [query.get("afterTrade") for query in exchange.queries[-2:]] == [None, "3"]
    assert skipped() == before


async def shows_the_day(bus: Bus) -> None:
    """What is replayed for the bars is no news to the board."""
    try:
        tick = await LastPrices(bus).get("AAPL")
    except BusUnavailable as error:
        raise AssertionError("NATS is too busy") from error
    assert tick is not None
    assert (tick.price_cents, tick.high_cents, tick.volume) == (14_000, 16_000, 40)


async def test_what_the_exchange_no_longer_has_is_counted_and_left_out(
    exchange: ScriptedFeed, nats: NatsServer, url: str, stored: StoredBars
) -> None:
    async with feed_with_bars(exchange, nats, url):
        await eventually(lambda: stored.reach(3), "the trades are stored")
    first, before = list(exchange.trades), skipped()
    for price_cents in (16_000, 17_000):
        exchange.trade("AAPL", price_cents)
    exchange.replays_after = 4

    async with feed_with_bars(exchange, nats, url):
        await eventually(lambda: skipped() > before, "the gap is counted")
        await send(exchange, ("AAPL", 15_500))
        await eventually(lambda: stored.reach(6), "what came after is stored")

    assert skipped() == before + 2
    assert await stored.all() == bars_of([*first, exchange.trades[-1]])


async def test_bars_miss_nothing_when_trades_are_lost_repeated_and_disordered_on_the_way(
    exchange: ScriptedFeed, nats: NatsServer, url: str, stored: StoredBars
) -> None:
    async with feed_with_bars(exchange, nats, url):
        for price_cents in range(15_000, 15_200, 20):
            exchange.at_ms += 400
            first, second, third = (exchange.trade("AAPL", price_cents + n) for n in range(3))
            await exchange.send(first, first, third)
            await exchange.send(second, third, second)
            await exchange.send(third)
        await eventually(lambda: stored.reach(33), "the trades are stored")

    assert await stored.all() == bars_of(exchange.trades)


async def test_exchange_that_counts_anew_adds_to_the_bars_of_the_day(
    exchange: ScriptedFeed, nats: NatsServer, url: str, stored: StoredBars
) -> None:
    async with feed_with_bars(exchange, nats, url):
        await eventually(lambda: stored.reach(3), "the trades are stored")
        first = list(exchange.trades)

        exchange.trades.clear()
        exchange.session = "s2"
        exchange.trade("AAPL", 9_000)
        await exchange.cut()

        async def is_stored() -> bool:
            return await stored.progress() == Progress("s2", 1, exchange.at_ms)

        await eventually(is_stored, "the new session's trade is stored")

    assert await stored.all() == bars_of([*first, *exchange.trades])


async def test_lost_counter_of_epochs_is_raised_above_what_the_bars_know(
    exchange: ScriptedFeed, nats: NatsServer, url: str, stored: StoredBars
) -> None:
    await stored.database.execute("INSERT INTO bar_progress (feed, epoch) VALUES ('exchange', 77)")

    async with feed_with_bars(exchange, nats, url):
        await eventually(lambda: stored.reach(3), "the trades are stored")
        assert await stored.database.fetchval("SELECT epoch FROM bar_progress") == 78

    assert await stored.all() == bars_of(exchange.trades)
