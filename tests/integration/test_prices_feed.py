import asyncio
from collections.abc import AsyncIterator

import pytest

from brokerage.bus.connection import Bus, BusUnavailable, open_bus
from brokerage.bus.last_price import LastPrices
from brokerage.bus.market_facts import MarketFacts
from brokerage.bus.tick import EPOCH_SHIFT, Tick
from exchange.protocol import DayStart
from tests.support.eventually import eventually
from tests.support.feeds import following_feed
from tests.support.nats_server import NatsServer
from tests.support.scripted_feed import ScriptedFeed, scripted_feed


@pytest.fixture
async def exchange() -> AsyncIterator[ScriptedFeed]:
    async with scripted_feed() as feed:
        feed.trade("AAPL", 15_000)
        feed.trade("BRK.B", 40_000)
        feed.trade("AAPL", 15_100)
        yield feed


@pytest.fixture
async def bus(nats: NatsServer) -> AsyncIterator[Bus]:
    async with open_bus(nats.url, "test") as bus:
        yield bus


async def last(bus: Bus, symbol: str, price_cents: int) -> Tick:
    """The last tick of `symbol`, once its price is `price_cents`."""
    found: list[Tick] = []

    async def there() -> bool:
        try:
            tick = await LastPrices(bus).get(symbol)
        except BusUnavailable as error:
            raise AssertionError("no store of last prices yet") from error
        found[:] = [] if tick is None else [tick]
        return tick is not None and tick.price_cents == price_cents

    await eventually(there, f"{symbol} is at {price_cents}")
    return found[0]


async def executions(bus: Bus) -> list[str]:
    """The ids in the stream, in its order."""
    info = await bus.jetstream.stream_info("EXECUTIONS")
    ids = []
    for seq in range(info.state.first_seq, info.state.last_seq + 1):
        message = await bus.jetstream.get_msg("EXECUTIONS", seq=seq)
        ids.append((message.headers or {})["Nats-Msg-Id"])
    return ids


async def test_every_symbol_has_its_price_from_the_snapshot_on(
    exchange: ScriptedFeed, nats: NatsServer, bus: Bus
) -> None:
    async with following_feed(exchange.url, nats.url):
        aapl = await last(bus, "AAPL", 15_100)
        brk = await last(bus, "BRK.B", 40_000)

        assert (aapl.open_cents, aapl.high_cents, aapl.low_cents) == (15_000, 15_100, 15_000)
        assert (aapl.volume, aapl.at) == (20, "2026-09-21T14:13:20.123Z")
        assert (brk.symbol, brk.volume) == ("BRK.B", 10)
        assert b'"BRK.B Inc."' in (await MarketFacts(bus).directory() or b"")


async def test_trades_move_the_price_and_a_new_day_starts_anew(
    exchange: ScriptedFeed, nats: NatsServer, bus: Bus
) -> None:
    async with following_feed(exchange.url, nats.url):
        await exchange.send(exchange.trade("AAPL", 14_000), exchange.trade("AAPL", 14_500))
        before = await last(bus, "AAPL", 14_500)

        await exchange.send(DayStart(5, 0), exchange.trade("AAPL", 16_000, shares=3))
        after = await last(bus, "AAPL", 16_000)

    assert (before.low_cents, before.high_cents, before.volume) == (14_000, 15_100, 40)
    assert (after.open_cents, after.low_cents, after.high_cents) == (16_000, 16_000, 16_000)
    assert (after.volume, after.v) == (3, before.v + 1)


async def test_busy_symbol_ticks_at_most_twenty_times_a_second_and_loses_no_volume(
    exchange: ScriptedFeed, nats: NatsServer, bus: Bus
) -> None:
    heard: list[bytes] = []

    async def hear(subject: str, payload: bytes) -> None:
        heard.append(payload)

    async with following_feed(exchange.url, nats.url):
        await last(bus, "AAPL", 15_100)
        await bus.subscribe("prices.AAPL", hear)
        await bus.flush()
        loop = asyncio.get_running_loop()
        began = loop.time()
        for price_cents in range(20_000, 20_500):
            await exchange.send(exchange.trade("AAPL", price_cents))
        tick = await last(bus, "AAPL", 20_499)
        lasted = loop.time() - began

    assert tick.volume == 20 + 500 * 10
    # The repair round adds one in fifteen seconds; the leading edge one more.
    assert len(heard) <= lasted * 20 + lasted / 15 + 3


async def test_jump_of_the_trade_sequence_is_asked_for_again(
    exchange: ScriptedFeed, nats: NatsServer, bus: Bus
) -> None:
    async with following_feed(exchange.url, nats.url):
        exchange.trade("AAPL", 17_000)
        await exchange.send(exchange.trade("AAPL", 16_000))

        tick = await last(bus, "AAPL", 16_000)

    assert exchange.queries[1]["afterTrade"] == "3"
    assert (tick.high_cents, tick.volume) == (17_000, 40)


async def test_tail_that_was_lost_is_noticed_by_the_heartbeat(
    exchange: ScriptedFeed, nats: NatsServer, bus: Bus
) -> None:
    async with following_feed(exchange.url, nats.url):
        exchange.trade("AAPL", 17_000)

        assert (await last(bus, "AAPL", 17_000)).volume == 30


async def test_trade_that_comes_twice_counts_once(
    exchange: ScriptedFeed, nats: NatsServer, bus: Bus
) -> None:
    async with following_feed(exchange.url, nats.url):
        trade = exchange.trade("AAPL", 15_200)
        await exchange.send(trade, trade)
        await exchange.send(trade, exchange.trade("AAPL", 15_300))

        assert (await last(bus, "AAPL", 15_300)).volume == 40


async def test_silent_exchange_is_left_and_the_next_connection_misses_nothing(
    exchange: ScriptedFeed, nats: NatsServer, bus: Bus
) -> None:
    async with following_feed(exchange.url, nats.url):
        exchange.beating = False
        exchange.trade("AAPL", 15_500)

        assert (await last(bus, "AAPL", 15_500)).volume == 30

    # It stays silent: whoever looks late sees that connection left as well.
    assert len(exchange.queries) >= 2


async def test_next_run_counts_as_newer_though_the_exchange_began_anew(
    exchange: ScriptedFeed, nats: NatsServer, bus: Bus
) -> None:
    async with following_feed(exchange.url, nats.url):
        first = await last(bus, "AAPL", 15_100)

    exchange.trades.clear()
    exchange.trade("AAPL", 9_000)
    async with following_feed(exchange.url, nats.url):
        second = await last(bus, "AAPL", 9_000)

    assert second.v >> EPOCH_SHIFT > first.v >> EPOCH_SHIFT


async def test_exchange_that_starts_anew_while_we_follow_gets_a_new_epoch(
    exchange: ScriptedFeed, nats: NatsServer, bus: Bus
) -> None:
    async with following_feed(exchange.url, nats.url):
        first = await last(bus, "AAPL", 15_100)

        exchange.trades.clear()
        exchange.session = "s2"
        exchange.trade("AAPL", 9_000)
        await exchange.cut()
        second = await last(bus, "AAPL", 9_000)

    assert second.v > first.v
    assert second.volume == 10


async def test_executions_are_stored_in_order_and_survive_gaps(
    exchange: ScriptedFeed, nats: NatsServer, bus: Bus
) -> None:
    async with following_feed(exchange.url, nats.url):
        await exchange.send(exchange.execution())
        exchange.execution()
        await exchange.send(exchange.execution())
        await exchange.cut()
        exchange.execution()

        async def all_there() -> bool:
            return (await bus.jetstream.stream_info("EXECUTIONS")).state.messages == 4

        await eventually(all_there, "four executions are stored")
        assert await executions(bus) == ["Es1-1", "Es1-2", "Es1-3", "Es1-4"]


async def test_next_run_stores_what_came_meanwhile_and_nothing_twice(
    exchange: ScriptedFeed, nats: NatsServer, bus: Bus
) -> None:
    async with following_feed(exchange.url, nats.url):
        await exchange.send(*(exchange.execution() for _ in range(300)))

        async def stored() -> bool:
            return (await bus.jetstream.stream_info("EXECUTIONS")).state.messages == 300

        await eventually(stored, "300 executions are stored")

    before = len(exchange.queries)
    for _ in range(20):
        exchange.execution()
    async with following_feed(exchange.url, nats.url):

        async def more() -> bool:
            return (await bus.jetstream.stream_info("EXECUTIONS")).state.messages >= 320

        await eventually(more, "320 executions are stored")

    assert exchange.queries[before]["afterMember"] == str(300 - 256)
    assert await executions(bus) == [f"Es1-{seq}" for seq in range(1, 321)]


async def test_exchange_that_counts_anew_since_our_last_run_is_heard_from_its_beginning(
    exchange: ScriptedFeed, nats: NatsServer, bus: Bus
) -> None:
    async with following_feed(exchange.url, nats.url):
        await exchange.send(*(exchange.execution() for _ in range(300)))

        async def stored() -> bool:
            return (await bus.jetstream.stream_info("EXECUTIONS")).state.messages == 300

        await eventually(stored, "300 executions are stored")

    exchange.session = "s2"
    exchange.members.clear()
    for _ in range(310):
        exchange.execution()
    async with following_feed(exchange.url, nats.url):

        async def more() -> bool:
            return (await bus.jetstream.stream_info("EXECUTIONS")).state.messages >= 610

        await eventually(more, "those of the new session are stored too")

    assert (await executions(bus))[300:] == [f"Es2-{seq}" for seq in range(1, 311)]


async def test_run_without_a_stream_goes_on_after_what_is_settled(
    exchange: ScriptedFeed, nats: NatsServer, bus: Bus
) -> None:
    for _ in range(5):
        exchange.execution()

    async with following_feed(exchange.url, nats.url, settled_seq=3):

        async def stored() -> bool:
            return (await bus.jetstream.stream_info("EXECUTIONS")).state.messages == 2

        await eventually(stored, "what is not settled is stored")
        assert await executions(bus) == ["Es1-4", "Es1-5"]


async def test_nats_that_lost_its_memory_gets_every_price_again_and_every_execution(
    exchange: ScriptedFeed, nats: NatsServer, bus: Bus
) -> None:
    async with following_feed(exchange.url, nats.url):
        await last(bus, "AAPL", 15_100)
        await nats.kill()
        await exchange.send(exchange.trade("AAPL", 15_700), exchange.execution())
        await nats.start()
        await eventually(lambda: bus.connected, "the bus is back")

        assert (await last(bus, "AAPL", 15_700)).volume == 30
        assert (await last(bus, "BRK.B", 40_000)).volume == 10

        async def stored() -> bool:
            return await executions(bus) == ["Es1-1"]

        await eventually(stored, "the execution is stored")
