"""Two copies of the feed in one process: who owns it, what is published under which epoch."""

import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from brokerage.bus.beat import Resend
from brokerage.bus.connection import Bus, BusUnavailable, open_bus
from brokerage.bus.last_price import LastPrices
from brokerage.bus.tick import EPOCH_SHIFT
from brokerage.contracts.subjects import FEED_BEAT, FEED_LEASE, FEED_RESEND
from streaming import following
from tests.support.eventually import eventually
from tests.support.feeds import (
    PATIENT,
    STEADY,
    copy_of_feed,
    following_feed,
    listen_to_feed,
    vacate,
)
from tests.support.nats_server import NatsServer
from tests.support.prices import price_node, viewing
from tests.support.proxy import proxy_to
from tests.support.scripted_feed import ScriptedFeed, scripted_feed


@pytest.fixture
async def exchange() -> AsyncIterator[ScriptedFeed]:
    async with scripted_feed() as feed:
        feed.trade("AAPL", 15_000)
        feed.trade("BRK.B", 40_000)
        yield feed


@pytest.fixture
async def bus(nats: NatsServer) -> AsyncIterator[Bus]:
    async with open_bus(nats.url, "test") as bus:
        await vacate(bus, FEED_LEASE)
        yield bus


@pytest.fixture
def long_silences(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that stands still for some seconds is no exchange to connect to again."""
    monkeypatch.setattr(following, "SILENCE_SECONDS", 60.0)


async def price_is(bus: Bus, symbol: str, price_cents: int, epoch: int = 0) -> None:
    """Return once the stream has this price under this epoch or a newer one."""

    async def so() -> bool:
        try:
            tick = await LastPrices(bus).get(symbol)
        except BusUnavailable:
            return False
        return (
            tick is not None and tick.price_cents == price_cents and tick.v >> EPOCH_SHIFT >= epoch
        )

    await eventually(so, f"{symbol} is at {price_cents}")


@pytest.mark.usefixtures("long_silences")
async def test_standby_opens_no_connection_and_takes_over_from_one_that_stops(
    exchange: ScriptedFeed, nats: NatsServer, bus: Bus
) -> None:
    said = await listen_to_feed(bus)
    async with AsyncExitStack() as first_life:
        first = await first_life.enter_async_context(
            copy_of_feed(exchange.url, nats.url, timing=PATIENT)
        )
        await eventually(lambda: first.live, "the first copy is live")
        async with copy_of_feed(exchange.url, nats.url, timing=PATIENT) as second:
            await eventually(lambda: second.ready, "the second stands by")
            await exchange.send(exchange.trade("AAPL", 15_100))
            await price_is(bus, "AAPL", 15_100)
            assert second.role == "standby"
            assert len(exchange.queries) == 1
            epoch = said.epoch

            # The lease lasts for a minute: only one that is given back is had at once.
            await first_life.aclose()
            await eventually(lambda: second.live, "the second copy is live")

            await exchange.send(exchange.trade("AAPL", 15_200))
            await price_is(bus, "AAPL", 15_200, epoch + 1)
    assert exchange.connections_max == 1
    assert said.epoch == epoch + 1


async def test_owner_publishes_every_symbol_before_its_first_beat(
    exchange: ScriptedFeed, nats: NatsServer, bus: Bus
) -> None:
    order: list[str] = []

    async def note(subject: str, payload: bytes) -> None:
        order.append(subject)

    await bus.subscribe(">", note)
    said = await listen_to_feed(bus)
    async with copy_of_feed(exchange.url, nats.url, timing=STEADY):
        await eventually(lambda: FEED_BEAT in order, "a beat is heard")
        # Each subscription is served in its own time.
        await eventually(lambda: said.epoch > 0 and len(said.ticks) > 0, "both are heard")

    before = order[: order.index(FEED_BEAT)]
    assert {"prices.AAPL", "prices.BRK_B"} <= set(before)
    assert said.epochs_of_ticks() == {said.epoch}


async def test_owner_that_was_cut_off_is_replaced_and_what_it_had_sent_is_overwritten(
    exchange: ScriptedFeed, nats: NatsServer, bus: Bus
) -> None:
    async with (
        proxy_to(nats.url) as way,
        copy_of_feed(exchange.url, way.url, timing=STEADY) as first,
    ):
        await eventually(lambda: first.live, "the first copy is live")
        async with copy_of_feed(exchange.url, nats.url, timing=STEADY) as second:
            await eventually(lambda: second.ready, "the second stands by")
            said = await listen_to_feed(bus)
            await eventually(lambda: said.is_past(0), "the first says something")
            old = said.epoch

            way.hold()
            # The first takes it for published: it waits in the way to NATS.
            await exchange.send(exchange.trade("AAPL", 15_100))
            await eventually(lambda: said.epoch > old, "the second is live")
            await exchange.send(exchange.trade("AAPL", 15_200))
            await price_is(bus, "AAPL", 15_200, old + 1)
            heard = len(said.ticks)
            way.let_go()

            await eventually(
                lambda: old in said.epochs_of_ticks(heard), "what the first had sent comes late"
            )
            await eventually(lambda: len(said.resends) > 0, "the first asks for the newest again")
            await price_is(bus, "AAPL", 15_200, old + 1)
            await eventually(lambda: first.ready and first.role == "standby", "it stands by")
            await eventually(lambda: exchange.connections == 1, "it left the exchange")
            assert second.live


async def test_price_of_an_owner_that_was_replaced_counts_as_none_until_it_is_sent_again(
    exchange: ScriptedFeed, nats: NatsServer, bus: Bus
) -> None:
    async with following_feed(exchange.url, nats.url):
        await price_is(bus, "AAPL", 15_000)
        newest = LastPrices(bus)
        tick = await newest.get("AAPL")
        assert tick is not None
        newest.v_min = lambda: tick.v >> EPOCH_SHIFT << EPOCH_SHIFT
        late = msgspec.json.encode(msgspec.structs.replace(tick, price_cents=1, v=tick.v - 2**36))
        await bus.publish("prices.AAPL", late)
        await bus.publish("prices.META", late.replace(b"AAPL", b"META"))
        await bus.flush()

        shown: list[bytes] = []

        async def sent_again() -> bool:
            try:
                fragments = await newest.fragments(["AAPL", "META", "BRK.B"])
            except BusUnavailable:
                return False
            shown.extend(fragments.values())
            return fragments.keys() == {"AAPL", "BRK.B"}

        # The feed was asked to publish again; the symbol that it does not know stays without.
        await eventually(sent_again, "there is a price of this owner again")
        assert not any(b'"priceInCents":1,' in fragment for fragment in shown)
        assert await newest.get("META") is None


@pytest.mark.usefixtures("long_silences")
async def test_feed_that_hears_of_a_newer_epoch_claims_one_that_is_newer_still(
    exchange: ScriptedFeed, nats: NatsServer, bus: Bus
) -> None:
    said = await listen_to_feed(bus)
    async with following_feed(exchange.url, nats.url, timing=PATIENT):
        await bus.publish(FEED_RESEND, msgspec.json.encode(Resend(500)))
        await eventually(lambda: said.epoch == 501, "the feed's epoch is newer")

        await price_is(bus, "AAPL", 15_000, 501)
        await price_is(bus, "BRK.B", 40_000, 501)
        await bus.publish(FEED_RESEND, b"nonsense")
        await bus.publish(FEED_RESEND, msgspec.json.encode(Resend(501)))
        await exchange.send(exchange.trade("AAPL", 15_100))
        await price_is(bus, "AAPL", 15_100, 501)
    assert said.epoch == 501
    assert len(exchange.queries) == 1


async def test_node_that_remembers_a_newer_epoch_is_shown_prices_all_the_same(
    exchange: ScriptedFeed, nats: NatsServer, bus: Bus
) -> None:
    said = await listen_to_feed(bus)
    async with (
        following_feed(exchange.url, nats.url, timing=PATIENT),
        price_node(nats.url) as node,
        viewing(node.url, ["AAPL"], lambda heard: heard.price("AAPL") == 15_000) as heard,
    ):
        # As if the counter of epochs, and with it both feeds, had been lost since this one.
        await eventually(lambda: said.epoch > 0, "the feed beats")
        newer = replace(said.beats[-1], epoch=70)
        await bus.publish(FEED_BEAT, msgspec.json.encode(newer))
        await eventually(lambda: node.market.hub.v_min >= 70 << EPOCH_SHIFT, "the node heard it")
        await eventually(lambda: said.epoch == 71, "the feed claims a newer one")

        await exchange.send(exchange.trade("AAPL", 15_100))
        await eventually(lambda: heard.price("AAPL") == 15_100, "the viewer sees the newest price")
    assert 70 in said.resends


@pytest.mark.usefixtures("long_silences")
async def test_nats_that_lost_disk_and_memory_gets_a_newer_epoch_all_the_same(
    exchange: ScriptedFeed, nats: NatsServer, bus: Bus, tmp_path: Path
) -> None:
    async with (
        copy_of_feed(exchange.url, nats.url, timing=STEADY) as first,
        copy_of_feed(exchange.url, nats.url, timing=STEADY) as second,
    ):
        said = await listen_to_feed(bus)
        for _ in range(3):
            # Epochs that the new store will know nothing of.
            await bus.publish(FEED_RESEND, msgspec.json.encode(Resend(said.epoch + 1)))
            epoch = said.epoch
            await eventually(partial(said.is_past, epoch), "a newer epoch is heard")
        epoch = said.epoch

        await nats.kill()
        shutil.rmtree(tmp_path / "nats")
        await exchange.send(exchange.trade("AAPL", 15_700))
        await nats.start()

        await eventually(lambda: said.epoch > epoch, "a newer epoch is heard")
        await price_is(bus, "AAPL", 15_700, epoch + 1)
        await price_is(bus, "BRK.B", 40_000, epoch + 1)
        await eventually(
            lambda: (
                first.ready and second.ready and {first.role, second.role} == {"owner", "standby"}
            ),
            "both are ready, one as the owner",
        )
        await eventually(lambda: exchange.connections == 1, "one of them follows")
    assert exchange.connections_max == 1


async def test_owner_of_a_silent_exchange_says_that_it_is_not_ready_until_it_hears_it_again(
    exchange: ScriptedFeed, nats: NatsServer, bus: Bus
) -> None:
    async with following_feed(exchange.url, nats.url, timing=PATIENT) as feed:
        await eventually(lambda: feed.ready, "it is ready")

        exchange.beating = False
        await eventually(lambda: not feed.ready, "it is not ready")
        assert feed.role == "owner"

        exchange.beating = True
        await eventually(lambda: feed.ready, "it is ready again")


async def test_standby_without_nats_says_that_it_is_not_ready(
    exchange: ScriptedFeed, nats: NatsServer, bus: Bus
) -> None:
    async with (
        following_feed(exchange.url, nats.url) as first,
        copy_of_feed(exchange.url, nats.url) as second,
    ):
        await eventually(lambda: second.ready, "it stands by")

        await nats.kill()
        await eventually(lambda: not second.ready and not first.ready, "neither is ready")

        await nats.start()
        await eventually(lambda: first.ready and second.ready, "both are ready")
