import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from nats.js.api import StreamConfig

from brokerage.bus.connection import Bus, BusUnavailable, open_bus
from brokerage.bus.execution_log import ExecutionLog, LogEnd, LogEntry
from brokerage.bus.last_price import LastPrices
from brokerage.bus.market_facts import MarketFacts
from brokerage.bus.streams import ensure_streams
from brokerage.bus.tick import untraded
from brokerage.contracts.subjects import PARKED_STREAM, PRICES_STREAM, price_subject
from tests.support.eventually import eventually
from tests.support.nats_server import NatsServer, nats_server


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[NatsServer]:
    async with nats_server(tmp_path) as server:
        yield server


@pytest.fixture
async def bus(server: NatsServer) -> AsyncIterator[Bus]:
    async with open_bus(server.url, "test") as bus:
        await ensure_streams(bus)
        yield bus


def fragment(symbol: str, v: int) -> bytes:
    return (
        b'{"symbol":"%b","priceInCents":%d,"openInCents":1,"highInCents":1,"lowInCents":1,'
        b'"volume":1,"at":"2026-09-21T14:13:20.007Z","v":%d}' % (symbol.encode(), v, v)
    )


async def stored(bus: Bus, count: int) -> None:
    async def all_there() -> bool:
        return (await bus.jetstream.stream_info(PRICES_STREAM)).state.messages == count

    await eventually(all_there, f"{count} ticks are stored")


async def test_streams_are_made_once_and_a_repeat_changes_nothing(bus: Bus) -> None:
    await bus.publish(price_subject("AAPL"), fragment("AAPL", 1))
    await stored(bus, 1)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(5):
            tasks.create_task(ensure_streams(bus))

    assert (await bus.jetstream.stream_info(PRICES_STREAM)).state.messages == 1


async def test_stream_that_is_configured_otherwise_is_changed(bus: Bus) -> None:
    await bus.jetstream.update_stream(
        StreamConfig(name=PARKED_STREAM, subjects=["parked.>"], max_msgs=5)
    )

    await ensure_streams(bus)

    assert (await bus.jetstream.stream_info(PARKED_STREAM)).config.max_msgs == -1


async def test_last_price_is_the_newest_and_none_for_what_never_traded(bus: Bus) -> None:
    for v in (1, 2, 3):
        await bus.publish(price_subject("BRK.B"), fragment("BRK.B", v))
    prices = LastPrices(bus)

    async def newest() -> bool:
        tick = await prices.get("BRK.B")
        return tick is not None and tick.v == 3

    await eventually(newest, "the third tick is stored")
    assert await prices.get("META") is None


async def test_many_symbols_are_read_in_pages(bus: Bus) -> None:
    symbols = [f"S{number:04d}" for number in range(2_500)]
    for v, symbol in enumerate(symbols):
        await bus.publish(price_subject(symbol), fragment(symbol, v))
    await stored(bus, len(symbols))
    prices = LastPrices(bus)

    fragments = await prices.fragments([*symbols, "NONE"])

    assert fragments == {symbol: fragment(symbol, v) for v, symbol in enumerate(symbols)}
    assert [tick.symbol for tick in await prices.all()] == symbols


async def test_reading_nothing_finds_nothing(bus: Bus) -> None:
    prices = LastPrices(bus)

    assert await prices.all() == []
    assert await prices.fragments([]) == {}
    assert await prices.fragments(["AAPL"]) == {}
    assert untraded("AAPL").startswith(b'{"symbol":"AAPL"')


async def test_last_price_without_a_bus_is_unavailable_and_comes_back(
    server: NatsServer, bus: Bus
) -> None:
    prices = LastPrices(bus)
    await server.kill()

    with pytest.raises(BusUnavailable):
        await prices.get("AAPL")
    with pytest.raises(BusUnavailable):
        await prices.fragments(["AAPL"])

    await server.start()
    await eventually(lambda: bus.connected, "the bus is back")
    await ensure_streams(bus)
    assert await prices.get("AAPL") is None


async def test_no_two_runs_claim_the_same_epoch(bus: Bus) -> None:
    facts = MarketFacts(bus)

    async with asyncio.TaskGroup() as tasks:
        claims = [tasks.create_task(facts.next_epoch()) for _ in range(10)]

    assert sorted(claim.result() for claim in claims) == list(range(1, 11))


async def test_directory_is_stored_once_and_heard_by_who_watches(bus: Bus) -> None:
    facts = MarketFacts(bus)
    heard: list[bytes] = []

    async def hear(payload: bytes) -> None:
        heard.append(payload)

    assert await facts.directory() is None
    await facts.watch_directory(hear)

    changes = [await facts.put_directory(payload) for payload in (b"[1]", b"[1]", b"[2]")]

    assert changes == [True, False, True]
    await eventually(lambda: heard == [b"[1]", b"[2]"], "both changes are heard")
    assert await facts.directory() == b"[2]"


async def test_appending_the_same_twice_stores_it_once(bus: Bus) -> None:
    log = ExecutionLog(bus)
    entries = [LogEntry("executions.fill.X1", b"{}", f"E{seq}", seq, "s1") for seq in range(1, 101)]
    assert await log.end() is None

    async def all_are_stored() -> bool:
        return await log.append(entries) == 100

    for _ in range(2):
        await eventually(all_are_stored, "a hundred are stored")

    assert await log.end() == LogEnd(100, "s1")
    assert (await bus.jetstream.stream_info("EXECUTIONS")).state.messages == 100


async def test_append_without_a_stream_stores_nothing_and_says_so(bus: Bus) -> None:
    await bus.jetstream.delete_stream("EXECUTIONS")

    assert (
        await ExecutionLog(bus).append([LogEntry("executions.fill.X1", b"{}", "E1", 1, "s1")]) == 0
    )


async def test_one_callback_that_fails_does_not_keep_the_reconnection_from_others(bus: Bus) -> None:
    told: list[int] = []

    async def fails() -> None:
        raise BusUnavailable("on purpose")

    async def notes() -> None:
        told.append(1)

    bus.on_reconnect(fails)
    bus.on_reconnect(notes)

    await bus.reconnected()

    assert told == [1]
