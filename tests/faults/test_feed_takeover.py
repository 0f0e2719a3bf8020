"""The feed's owner is killed or frozen: the other copy takes over, and what was stays behind it."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from brokerage.bus.connection import Bus, BusUnavailable, open_bus
from brokerage.bus.last_price import LastPrices
from brokerage.bus.tick import EPOCH_SHIFT
from tests.support.eventually import eventually
from tests.support.feeds import FeedProcess, Published, feed_process, listen_to_feed
from tests.support.nats_server import NatsServer, nats_server
from tests.support.prices import price_node, viewing
from tests.support.scripted_feed import ScriptedFeed, scripted_feed


@dataclass
class Pair:
    """Two copies of the feed as processes, an exchange that a test writes, and what is said."""

    exchange: ScriptedFeed
    nats: NatsServer
    bus: Bus
    copies: tuple[FeedProcess, FeedProcess]
    said: Published

    async def roles(self) -> tuple[FeedProcess, FeedProcess]:
        """The owner and the standby, once the owner alone follows the exchange.

        Asked right before what they matter for: where the machine stands still for a second, the
        lease is over and the two may change places.
        """

        async def told() -> tuple[FeedProcess, FeedProcess]:
            first, second = self.copies
            roles = [await copy.health() for copy in self.copies]
            assert sorted(roles) == [(200, "owner"), (200, "standby")], roles
            assert self.exchange.connections == 1
            return (first, second) if roles[0] == (200, "owner") else (second, first)

        owner, standby = await eventually(told, "one owns, one stands by")
        self.exchange.connections_max = 1
        return owner, standby

    async def price_is(self, symbol: str, price_cents: int) -> None:
        """Return once the stream has this price under the newest epoch."""

        async def so() -> bool:
            try:
                tick = await LastPrices(self.bus).get(symbol)
            except BusUnavailable:
                return False
            return (
                tick is not None
                and tick.price_cents == price_cents
                and tick.v >> EPOCH_SHIFT == self.said.epoch
            )

        await eventually(so, f"{symbol} is at {price_cents}")


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    async with AsyncExitStack() as stack:
        nats = await stack.enter_async_context(nats_server(tmp_path / "nats"))
        exchange = await stack.enter_async_context(scripted_feed())
        exchange.trade("AAPL", 15_000)
        exchange.trade("BRK.B", 40_000)
        bus = await stack.enter_async_context(open_bus(nats.url, "test"))
        said = await listen_to_feed(bus)
        first, second = [
            await stack.enter_async_context(
                feed_process(exchange.url, nats.url, tmp_path / f"feed-{number}.log")
            )
            for number in (1, 2)
        ]
        await eventually(lambda: said.is_past(0), "the owner is heard")
        yield Pair(exchange, nats, bus, (first, second), said)


async def test_first_beat_of_the_new_owner_says_what_was_halted_while_there_was_none(
    pair: Pair,
) -> None:
    owner, _ = await pair.roles()
    epoch = pair.said.epoch
    await owner.process.kill()
    pair.exchange.halt("AAPL")

    await eventually(lambda: pair.said.is_past(epoch), "the other copy is live")

    beats = pair.said.beats
    assert [beat.trading.halted for beat in beats if beat.epoch == epoch][-1] == frozenset()
    assert next(beat for beat in beats if beat.epoch > epoch).trading.halted == {"AAPL"}


async def test_standby_takes_over_from_a_killed_owner_under_a_newer_epoch(pair: Pair) -> None:
    owner, standby = await pair.roles()
    epoch = pair.said.epoch
    takeovers = await standby.metric("sherwood_feed_takeovers_total")

    await owner.process.kill()
    await eventually(lambda: pair.said.is_past(epoch), "the other copy is live")
    await standby.comes_to_be("owner")
    await pair.exchange.send(pair.exchange.trade("AAPL", 15_100))

    await pair.price_is("AAPL", 15_100)
    await pair.price_is("BRK.B", 40_000)
    assert pair.exchange.connections_max == 1
    await standby.shows("sherwood_feed_owner", 1)
    assert await standby.metric("sherwood_feed_takeovers_total") > takeovers


async def test_owner_that_was_frozen_publishes_nothing_more_and_stands_by(pair: Pair) -> None:
    async with (
        price_node(pair.nats.url) as node,
        viewing(node.url, ["AAPL"], lambda heard: heard.price("AAPL") == 15_000) as heard,
    ):
        owner, standby = await pair.roles()
        epoch = pair.said.epoch
        lost = await owner.metric("sherwood_feed_leases_lost_total")
        owner.process.pause()
        await eventually(lambda: pair.said.is_past(epoch), "the other copy is live")
        # The frozen one gets these too, in its socket; it will read them first when it goes on.
        for price_cents in range(15_100, 15_200):
            await pair.exchange.send(pair.exchange.trade("AAPL", price_cents))
        await pair.price_is("AAPL", 15_199)
        ticks, beats = len(pair.said.ticks), len(pair.said.beats)

        owner.process.resume()
        await owner.comes_to_be("standby")
        await eventually(lambda: pair.exchange.connections == 1, "it left the exchange")

        await pair.exchange.send(pair.exchange.trade("AAPL", 15_300))
        await pair.price_is("AAPL", 15_300)
        # A viewer that went back would have failed on the way.
        await eventually(lambda: heard.price("AAPL") == 15_300, "the viewer sees the newest price")
        await eventually(lambda: len(pair.said.ticks) > ticks, "a tick is heard")
        await eventually(lambda: len(pair.said.beats) > beats, "a beat is heard")
        assert min(pair.said.epochs_of_ticks(ticks)) > epoch
        assert min(beat.epoch for beat in pair.said.beats[beats:]) > epoch
        assert await owner.metric("sherwood_feed_leases_lost_total") > lost
        await owner.shows("sherwood_feed_owner", 0)
        await standby.shows("sherwood_feed_owner", 1)


async def test_owner_that_is_asked_to_stop_hands_over_and_leaves_the_exchange_first(
    pair: Pair,
) -> None:
    owner, standby = await pair.roles()
    epoch = pair.said.epoch

    assert await owner.process.stop() == 0

    await eventually(lambda: pair.said.is_past(epoch), "the other copy is live")
    await standby.comes_to_be("owner")
    assert "lease_given_back" in owner.process.said()
    assert pair.exchange.connections_max == 1


async def test_nats_that_forgot_everything_has_one_owner_and_every_price_again(pair: Pair) -> None:
    await pair.roles()
    epoch = pair.said.epoch

    await pair.nats.kill()
    await pair.exchange.send(pair.exchange.trade("AAPL", 15_100))
    await pair.nats.start()

    await eventually(lambda: pair.said.is_past(epoch), "a copy is live")
    await pair.price_is("AAPL", 15_100)
    await pair.price_is("BRK.B", 40_000)
    connections_max = pair.exchange.connections_max

    await pair.roles()
    assert connections_max == 1
