"""The feed's owner is killed or frozen: the other copy takes over, and what was stays behind it."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from brokerage.bus.connection import Bus, open_bus
from brokerage.bus.last_price import LastPrices
from brokerage.bus.tick import EPOCH_SHIFT
from tests.support.eventually import eventually
from tests.support.feeds import FeedProcess, Published, feed_process, listen_to_feed
from tests.support.nats_server import NatsServer, nats_server
from tests.support.prices import comes_true, price_node, viewing
from tests.support.scripted_feed import ScriptedFeed, scripted_feed


@dataclass
class Pair:
    """Two copies of the feed as processes, an exchange that a test writes, and what is said."""

    exchange: ScriptedFeed
    nats: NatsServer
    bus: Bus
    owner: FeedProcess
    standby: FeedProcess
    said: Published

    async def price_is(self, symbol: str, price_cents: int) -> None:
        """Return once the stream has this price under the newest epoch."""

        async def so() -> bool:
            tick = await LastPrices(self.bus).get(symbol)
            return (
                tick is not None
                and tick.price_cents == price_cents
                and tick.v >> EPOCH_SHIFT == self.said.epoch
            )

        await comes_true(so, f"{symbol} is at {price_cents}")


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    async with AsyncExitStack() as stack:
        nats = await stack.enter_async_context(nats_server(tmp_path / "nats"))
        exchange = await stack.enter_async_context(scripted_feed())
        exchange.trade("AAPL", 15_000)
        exchange.trade("BRK.B", 40_000)
        bus = await stack.enter_async_context(open_bus(nats.url, "test"))
        said = await listen_to_feed(bus)
        owner, standby = [
            await stack.enter_async_context(
                feed_process(exchange.url, nats.url, tmp_path / f"feed-{number}.log")
            )
            for number in (1, 2)
        ]
        await owner.comes_to_be("owner")
        await standby.comes_to_be("standby")
        await eventually(lambda: said.is_past(0), "the owner is heard")
        yield Pair(exchange, nats, bus, owner, standby, said)


async def test_first_beat_of_the_new_owner_says_what_was_halted_while_there_was_none(
    pair: Pair,
) -> None:
    epoch = pair.said.epoch
    await pair.owner.process.kill()
    pair.exchange.halt("AAPL")

    await eventually(lambda: pair.said.is_past(epoch), "the other copy is live")

    beats = pair.said.beats
    assert [beat.trading.halted for beat in beats if beat.epoch == epoch][-1] == frozenset()
    assert next(beat for beat in beats if beat.epoch > epoch).trading.halted == {"AAPL"}


async def test_standby_takes_over_from_a_killed_owner_under_a_newer_epoch(pair: Pair) -> None:
    epoch = pair.said.epoch
    assert pair.exchange.connections == 1

    await pair.owner.process.kill()
    await eventually(lambda: pair.said.is_past(epoch), "the other copy is live")
    await pair.standby.comes_to_be("owner")
    await pair.exchange.send(pair.exchange.trade("AAPL", 15_100))

    await pair.price_is("AAPL", 15_100)
    await pair.price_is("BRK.B", 40_000)
    assert pair.exchange.connections_max == 1
    assert await pair.standby.metric("sherwood_feed_owner") == 1
    assert await pair.standby.metric("sherwood_feed_takeovers_total") == 1


async def test_owner_that_was_frozen_publishes_nothing_more_and_stands_by(pair: Pair) -> None:
    async with (
        price_node(pair.nats.url) as node,
        viewing(node.url, ["AAPL"], lambda heard: heard.price("AAPL") == 15_000) as heard,
    ):
        epoch = pair.said.epoch
        pair.owner.process.pause()
        await eventually(lambda: pair.said.is_past(epoch), "the other copy is live")
        # The frozen one gets these too, in its socket; it will read them first when it goes on.
        for price_cents in range(15_100, 15_200):
            await pair.exchange.send(pair.exchange.trade("AAPL", price_cents))
        await pair.price_is("AAPL", 15_199)
        ticks, beats = len(pair.said.ticks), len(pair.said.beats)

        pair.owner.process.resume()
        await pair.owner.comes_to_be("standby")
        await eventually(lambda: pair.exchange.connections == 1, "it left the exchange")

        await pair.exchange.send(pair.exchange.trade("AAPL", 15_300))
        await pair.price_is("AAPL", 15_300)
        # A viewer that went back would have failed on the way.
        await eventually(lambda: heard.price("AAPL") == 15_300, "the viewer sees the newest price")
        assert pair.said.epochs_of_ticks(ticks) == {epoch + 1}
        assert {beat.epoch for beat in pair.said.beats[beats:]} == {epoch + 1}
        assert await pair.owner.metric("sherwood_feed_leases_lost_total") == 1
        assert await pair.owner.metric("sherwood_feed_owner") == 0
        assert await pair.standby.metric("sherwood_feed_owner") == 1


async def test_owner_that_is_asked_to_stop_hands_over_and_leaves_the_exchange_first(
    pair: Pair,
) -> None:
    epoch = pair.said.epoch

    assert await pair.owner.process.stop() == 0

    await eventually(lambda: pair.said.is_past(epoch), "the other copy is live")
    await pair.standby.comes_to_be("owner")
    assert "lease_given_back" in pair.owner.process.said()
    assert pair.exchange.connections_max == 1


async def test_nats_that_forgot_everything_has_one_owner_and_every_price_again(pair: Pair) -> None:
    epoch = pair.said.epoch

    await pair.nats.kill()
    await pair.exchange.send(pair.exchange.trade("AAPL", 15_100))
    await pair.nats.start()

    await eventually(lambda: pair.said.is_past(epoch), "a copy is live")
    await pair.price_is("AAPL", 15_100)
    await pair.price_is("BRK.B", 40_000)

    async def one_of_each() -> bool:
        healths = [await pair.owner.health(), await pair.standby.health()]
        return sorted(healths) == [(200, "owner"), (200, "standby")]

    await comes_true(one_of_each, "one owns, one stands by")
    await eventually(lambda: pair.exchange.connections == 1, "one follows")
    assert pair.exchange.connections_max == 1
