"""The feed of the real process."""

from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from exchange import protocol
from tests.support.exchange_member import ExchangeProcess, exchange_process, member_of, placement


@pytest.fixture(scope="module")
async def exchange(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ExchangeProcess]:
    folder: Path = tmp_path_factory.mktemp("exchange")
    async with exchange_process(folder) as process:
        yield process


async def test_feed_begins_with_hello_and_a_price_of_every_symbol(
    exchange: ExchangeProcess,
) -> None:
    async with member_of(exchange.url) as member, member.feed() as feed:
        await feed.until(lambda: len(feed.messages) >= 2)

    hello, snapshot = feed.messages[:2]
    assert isinstance(hello, protocol.Hello)
    assert isinstance(snapshot, protocol.Snapshot)
    listed = {listing.symbol for listing in hello.listings}
    assert {one.symbol for one in snapshot.symbols} == listed
    assert len(listed) >= 100
    assert all(one.low_cents <= one.price_cents <= one.high_cents for one in snapshot.symbols)


async def test_trades_follow_the_snapshot_without_a_gap_and_heartbeats_come(
    exchange: ExchangeProcess,
) -> None:
    async with member_of(exchange.url) as member, member.feed() as feed:
        await feed.until(
            lambda: (
                len(feed.of(protocol.Heartbeat)) >= 2
                and len(feed.of(protocol.Trade)) > 20
                and any(trade.tape_at_ms is not None for trade in feed.of(protocol.Trade))
            )
        )
        await feed.until(lambda: isinstance(feed.messages[-1], protocol.Heartbeat))

    snapshot = feed.of(protocol.Snapshot)[0]
    seqs = [trade.seq for trade in feed.of(protocol.Trade)]
    assert seqs == list(range(snapshot.trade_seq + 1, snapshot.trade_seq + 1 + len(seqs)))
    recorded = {t.symbol for t in feed.of(protocol.Trade) if t.tape_at_ms is not None}
    assert recorded <= {"AIG", "BAC", "IBM", "SPY"}
    assert recorded
    beat = feed.of(protocol.Heartbeat)[-1]
    assert beat.trade_seq <= seqs[-1]


async def test_reader_that_comes_back_misses_nothing(exchange: ExchangeProcess) -> None:
    async with member_of(exchange.url) as member:
        async with member.feed() as feed:
            await member.place(placement("SPY"))
            await feed.own(1)
            await feed.until(lambda: len(feed.of(protocol.Trade)) > 5)
        last_member, last_trade = feed.own_seq(), feed.of(protocol.Trade)[-1].seq
        await member.place_all(*[placement(symbol) for symbol in ("IBM", "BAC", "AIG", "MSFT")])

        async with member.feed(last_member, last_trade) as again:
            await again.own(4)
            await again.until(lambda: len(again.of(protocol.Heartbeat)) > 0)
            await again.until(lambda: len(again.of(protocol.Trade)) > 0)

    assert again.of(protocol.Snapshot) == []
    assert [message.seq for message in again.said_to_member()][:4] == [2, 3, 4, 5]
    trades = [trade.seq for trade in again.of(protocol.Trade)]
    assert trades[0] == last_trade + 1
    assert all(later == earlier + 1 for earlier, later in pairwise(trades))


async def test_member_messages_are_replayable_from_the_very_first_and_only_ones_own(
    exchange: ExchangeProcess,
) -> None:
    async with member_of(exchange.url) as member, member_of(exchange.url) as other:
        symbols = ("SPY", "IBM", "BAC", "AIG", "AAPL", "MSFT", "AMZN", "GOOGL")
        await member.place_all(*[placement(symbol) for symbol in symbols])
        await other.place(placement("C"))

        async with member.feed(after_member=0) as feed, other.feed() as others:
            mine = await feed.own(8)
            theirs = await others.own(1)

        assert [message.seq for message in mine] == list(range(1, 9))
        assert [one for one in mine if isinstance(one, protocol.Execution)] == [
            *(await member.executions())
        ][:8]
        assert theirs[0].symbol == "C"


@pytest.mark.parametrize(
    "query", ["", "member=", "member=m&afterMember=-1", "member=m&afterTrade=x"]
)
async def test_feed_without_a_proper_query_is_refused(
    exchange: ExchangeProcess, query: str
) -> None:
    url = f"{exchange.url.replace('http', 'ws', 1)}/v1/feed?{query}"

    with pytest.raises(Exception, match="403") as refused:
        async with connect(url, proxy=None):
            pass

    assert not isinstance(refused.value, ConnectionClosed)


async def test_speed_can_be_changed_and_unbound_speed_does_not_starve_orders(
    exchange: ExchangeProcess,
) -> None:
    async with member_of(exchange.url) as member:
        before = (await member.status()).market_position
        await member.control("speed", speed="max")
        try:
            async with member.feed() as feed:
                await feed.until(lambda: len(feed.of(protocol.Trade)) > 20_000)
                reply = await member.place(placement())
                status = await member.status()
        finally:
            await member.control("speed", speed=20)

    assert reply.outcome == "accepted"
    assert status.speed == 0.0
    assert status.market_position > before + 20_000


async def test_halts_and_sessions_are_told_whole_when_they_change_and_in_every_hello(
    exchange: ExchangeProcess,
) -> None:
    async with member_of(exchange.url) as member:
        async with member.feed() as feed:
            await member.control("halts", symbol="QQQ")
            await member.control("sessions", sessions="closed")
            await feed.until(lambda: len(feed.of(protocol.TradingStatus)) >= 2)
            await feed.until(lambda: isinstance(feed.messages[-1], protocol.Heartbeat))
        async with member.feed() as later:
            await later.until(lambda: bool(later.messages))
            refused = await member.place(placement("SPY"))
        await member.control("halts", symbol="QQQ", halted=False)
        await member.control("sessions", sessions="off")
        accepted = await member.place(placement("QQQ"))

    before = feed.of(protocol.Hello)[0].trading
    halted, closed = feed.of(protocol.TradingStatus)
    assert (before.state, before.sessions, before.halted) == ("open", "off", [])
    assert (halted.state, halted.halted) == ("open", ["QQQ"])
    assert (closed.state, closed.sessions, closed.halted) == ("closed", "closed", ["QQQ"])
    assert [before.version + 1, before.version + 2] == [halted.version, closed.version]
    assert feed.of(protocol.Heartbeat)[-1].trading_version == closed.version
    assert later.of(protocol.Hello)[0].trading == closed
    assert (refused.code, accepted.outcome) == ("market-closed", "accepted")
