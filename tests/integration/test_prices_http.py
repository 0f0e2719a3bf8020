import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from brokerage.bus.streams import ensure_streams
from streaming.hub import Terms
from tests.support.eventually import eventually
from tests.support.feeds import following_feed
from tests.support.nats_server import NatsServer
from tests.support.prices import (
    SETTINGS,
    Heard,
    Node,
    not_reading,
    price_node,
    viewing,
)
from tests.support.scripted_feed import ScriptedFeed, scripted_feed


@pytest.fixture
async def exchange() -> AsyncIterator[ScriptedFeed]:
    async with scripted_feed() as feed:
        feed.trade("AAPL", 15_000)
        feed.trade("BRK.B", 40_000)
        yield feed


@pytest.fixture
async def node(exchange: ScriptedFeed, nats: NatsServer) -> AsyncIterator[Node]:
    async with following_feed(exchange.url, nats.url), price_node(nats.url) as node:

        async def there() -> bool:
            found = await node.market.last_prices.all()
            return {tick.symbol for tick in found} == {"AAPL", "BRK.B"}

        # NATS may tell of a beat before it has stored the ticks that came before it.
        await eventually(there, "the prices are stored")
        yield node


AAPL_TICK = (
    b'{"symbol":"AAPL","priceInCents":%d,"openInCents":1,"highInCents":1,"lowInCents":1,'
    b'"volume":1,"at":"2026-09-21T14:13:20.123Z","v":%d}'
)


def snapshot_seen(heard: Heard) -> bool:
    return "prices" in heard.kinds()


async def test_viewer_gets_hello_then_a_snapshot_then_changes(
    exchange: ScriptedFeed, node: Node
) -> None:
    async with viewing(node.url, ["AAPL", "BRK.B", "META"], snapshot_seen) as heard:
        assert heard.kinds()[:2] == ["hello", "prices"]
        hello, snapshot = heard.events[0][1], heard.events[1][1]
        assert repr(hello["heartbeatSeconds"]) == "15", "a whole number is written as one"
        assert hello["streamId"]
        assert [tick["symbol"] for tick in snapshot] == ["AAPL", "BRK.B", "META"]
        assert [tick["priceInCents"] for tick in snapshot] == [15_000, 40_000, None]
        assert snapshot[2]["v"] is None

        await exchange.send(exchange.trade("META", 52_210), exchange.trade("AAPL", 15_001))
        await eventually(lambda: heard.price("META") == 52_210, "the first trade is seen")
        await eventually(lambda: heard.price("AAPL") == 15_001, "the change is seen")

    assert heard.headers["content-type"].startswith("text/event-stream")
    assert heard.headers["x-accel-buffering"] == "no"
    assert 1_000 <= int(heard.head) <= 5_000


async def test_busy_symbol_reaches_the_viewer_conflated_and_ends_right(
    exchange: ScriptedFeed, node: Node
) -> None:
    async with viewing(node.url, ["AAPL"], snapshot_seen) as heard:
        for price_cents in range(20_000, 20_400):
            await exchange.send(exchange.trade("AAPL", price_cents))

        await eventually(lambda: heard.price("AAPL") == 20_399, "the last price is seen")
        assert heard.ticks["AAPL"]["volume"] == 10 + 400 * 10


async def test_only_what_was_asked_for_is_sent(exchange: ScriptedFeed, node: Node) -> None:
    async with (
        viewing(node.url, ["AAPL"], snapshot_seen) as one,
        viewing(node.url, ["AAPL", "META"], snapshot_seen) as both,
    ):
        await exchange.send(exchange.trade("META", 1), exchange.trade("AAPL", 2))
        await eventually(lambda: both.price("META") == 1, "META is seen")
        await eventually(lambda: one.price("AAPL") == 2, "AAPL is seen")

        assert set(one.ticks) == {"AAPL"}


async def test_browser_can_subscribe_by_address(node: Node) -> None:
    async with (
        node.http() as client,
        client.stream("GET", "/subscribe?symbols=BRK.B,AAPL,AAPL") as response,
    ):
        lines = response.aiter_lines()
        async for line in lines:
            if line.startswith("data: ["):
                assert [tick["symbol"] for tick in json.loads(line[6:])] == ["BRK.B", "AAPL"]
                break


@pytest.mark.parametrize(
    ("symbols", "status", "code"),
    [
        (["AAPL", "NONE"], 422, "unknown-symbol"),
        (["*"], 422, "unknown-symbol"),
        ([">"], 422, "unknown-symbol"),
        (["BRK_B"], 422, "unknown-symbol"),
        ([], 422, "invalid-request"),
        (["AAPL"] * 201, 422, "invalid-request"),
    ],
)
async def test_wrong_symbols_are_a_problem_both_ways(
    node: Node, symbols: list[str], status: int, code: str
) -> None:
    async with node.http() as client:
        post = await client.post("/subscribe", json={"symbols": symbols})
        get = await client.get("/subscribe", params={"symbols": ",".join(symbols)})

    for answer in (post, get):
        assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_unknown_field_of_a_subscription_is_refused(node: Node) -> None:
    async with node.http() as client:
        answer = await client.post("/subscribe", json={"symbols": ["AAPL"], "rate": 1})

    assert answer.status_code == 422


async def test_symbols_come_in_pages_with_their_last_price(node: Node) -> None:
    async with node.http() as client:
        everything = (await client.get("/symbols")).json()
        first = (await client.get("/symbols", params={"limit": 2})).json()
        rest = (
            await client.get("/symbols", params={"limit": 2, "cursor": first["nextCursor"]})
        ).json()

    assert [item["symbol"] for item in everything["items"]] == ["AAPL", "BRK.B", "META"]
    assert everything["nextCursor"] is None
    assert everything["items"][1]["priceInCents"] == 40_000
    assert everything["items"][2] == {
        "symbol": "META",
        "priceInCents": None,
        "openInCents": None,
        "highInCents": None,
        "lowInCents": None,
        "volume": None,
        "at": None,
        "v": None,
        "name": "META Inc.",
    }
    assert first["items"] + rest["items"] == everything["items"]
    assert (first["nextCursor"], rest["nextCursor"]) == ("BRK.B", None)


async def test_one_symbol_is_read_by_name(node: Node) -> None:
    async with node.http() as client:
        found = await client.get("/symbol/BRK.B")
        unknown = await client.get("/symbol/NONE")

    assert found.json()["priceInCents"] == 40_000
    assert found.json()["name"] == "BRK.B Inc."
    assert (unknown.status_code, unknown.json()["code"]) == (404, "symbol-not-found")


async def test_viewers_are_told_when_the_feed_falls_silent_and_when_it_is_back(
    exchange: ScriptedFeed, node: Node
) -> None:
    async with viewing(node.url, ["AAPL"], snapshot_seen) as heard:
        exchange.beating = False
        await eventually(lambda: heard.kinds()[-1] == "stale", "the viewer is told")
        assert not node.market.hub.feed_is_live

        exchange.beating = True
        await eventually(lambda: heard.kinds()[-1] == "live", "the viewer is told again")
        assert node.market.hub.feed_is_live


async def test_symbol_is_dropped_from_the_node_only_after_its_last_viewer(node: Node) -> None:
    async with viewing(node.url, ["AAPL"], snapshot_seen):
        async with viewing(node.url, ["AAPL"], snapshot_seen):
            await eventually(lambda: node.market.hub.viewers == 2, "both watch")
        await eventually(lambda: node.market.hub.viewers == 1, "one has left")
        assert node.market.hub.symbols == {"AAPL"}

    await eventually(lambda: node.market.hub.viewers == 0, "both have left")
    assert node.market.hub.symbols == {"AAPL"}, "it lingers"


async def test_viewer_sees_the_newest_price_after_nats_was_away(
    exchange: ScriptedFeed, nats: NatsServer, node: Node
) -> None:
    async with viewing(node.url, ["AAPL", "BRK.B"], snapshot_seen) as heard:
        await nats.kill()
        await exchange.send(exchange.trade("AAPL", 18_000))
        await nats.start()

        await eventually(lambda: heard.price("AAPL") == 18_000, "the viewer catches up")
        assert not heard.ended


async def test_symbol_whose_last_price_nats_lost_is_not_shown_as_one_that_never_traded(
    exchange: ScriptedFeed, nats: NatsServer
) -> None:
    async with following_feed(exchange.url, nats.url), price_node(nats.url):
        pass  # a node opens once the feed has stored the directory
    async with price_node(nats.url, hears_a_feed=False) as node, node.http() as http:
        await nats.kill()
        await nats.start()
        await eventually(lambda: node.bus.connected, "the node is back")
        await ensure_streams(node.bus)
        async with http.stream("POST", "/subscribe", json={"symbols": ["BRK.B"]}) as answer:
            assert answer.status_code == 503

        async with following_feed(exchange.url, nats.url):
            await eventually(lambda: node.market.hub.feed_is_live, "the node hears the beat")
            async with viewing(node.url, ["BRK.B", "META"], snapshot_seen) as heard:
                assert (heard.price("BRK.B"), heard.price("META")) == (40_000, None)


async def test_stopping_node_ends_its_streams_and_takes_no_new_ones(node: Node) -> None:
    async with viewing(node.url, ["AAPL"], snapshot_seen) as heard:
        node.stopping.set()
        await eventually(lambda: heard.ended, "the stream ends cleanly")

    async with node.http() as client:
        answer = await client.post("/subscribe", json={"symbols": ["AAPL"]})
    assert (answer.status_code, answer.json()["code"]) == (503, "shutting-down")


async def test_client_that_reads_nothing_is_dropped_and_the_others_are_not(
    exchange: ScriptedFeed, nats: NatsServer
) -> None:
    terms = Terms(stalled_seconds_max=0.5)
    async with (
        following_feed(exchange.url, nats.url),
        price_node(nats.url, terms) as node,
        viewing(node.url, ["AAPL"], snapshot_seen) as other,
        not_reading(node, ["AAPL", "META"]),
    ):
        await eventually(lambda: node.market.hub.viewers == 2, "both watch")
        v = other.ticks["AAPL"]["v"]

        async def dropped() -> bool:
            nonlocal v
            v += 1
            # Faster than any feed, so that the little that is kept for it is soon full.
            await node.bus.publish("prices.AAPL", AAPL_TICK % (v, v))
            await node.bus.flush()
            return node.market.hub.viewers == 1

        # The kernel keeps hundreds of ticks for it, each of which takes a pass of the node.
        await eventually(dropped, "the one that reads nothing is dropped", 120)
        await eventually(lambda: other.ticks["AAPL"]["v"] == v, "the other goes on")
        assert not other.ended


async def test_quiet_stream_beats(exchange: ScriptedFeed, nats: NatsServer) -> None:
    async with (
        following_feed(exchange.url, nats.url),
        price_node(nats.url, Terms(heartbeat_seconds=0.05)) as node,
        viewing(node.url, ["META"], snapshot_seen) as heard,
    ):
        await eventually(lambda: heard.comments >= 2, "two beats are heard")


async def test_stream_ends_after_its_lifetime(exchange: ScriptedFeed, nats: NatsServer) -> None:
    async with (
        following_feed(exchange.url, nats.url),
        price_node(nats.url, Terms(lifetime_seconds=(0.1, 0.2))) as node,
        viewing(node.url, ["META"], snapshot_seen) as heard,
    ):
        await eventually(lambda: heard.ended, "the stream ends cleanly")


async def test_symbol_nobody_watches_is_dropped_after_the_linger_and_can_come_back(
    exchange: ScriptedFeed, nats: NatsServer, node: Node
) -> None:
    async with price_node(nats.url, Terms(linger_seconds=0.1)) as hasty:
        async with viewing(hasty.url, ["AAPL"], snapshot_seen):
            assert hasty.market.hub.symbols == {"AAPL"}
        await eventually(lambda: not hasty.market.hub.symbols, "the symbol is dropped")

        await exchange.send(exchange.trade("AAPL", 16_600))
        async with viewing(hasty.url, ["AAPL"], snapshot_seen) as heard:
            await eventually(lambda: heard.price("AAPL") == 16_600, "it has the newest price")


async def test_node_without_nats_says_so_and_serves_what_it_follows(
    nats: NatsServer, node: Node
) -> None:
    async with viewing(node.url, ["AAPL"], snapshot_seen):
        await nats.kill()
        async with node.http() as client:
            answer = await client.post("/subscribe", json={"symbols": ["META"]})
            symbols = await client.get("/symbols")

        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert (symbols.status_code, symbols.json()["code"]) == (503, "unavailable")
        async with viewing(node.url, ["AAPL"], snapshot_seen) as second:
            assert second.price("AAPL") == 15_000


async def test_many_viewers_at_once_share_one_subscription(
    exchange: ScriptedFeed, node: Node
) -> None:
    async with asyncio.TaskGroup() as tasks:
        for _ in range(30):
            tasks.create_task(_sees_a_change(node))
        await eventually(lambda: node.market.hub.viewers == 30, "all watch")
        await exchange.send(exchange.trade("META", 4_242))

    assert node.market.hub.symbols == {"META"}


async def _sees_a_change(node: Node) -> None:
    async with viewing(node.url, ["META"], snapshot_seen) as heard:
        await eventually(lambda: heard.price("META") == 4_242, "the change is seen")


async def test_user_with_many_streams_is_told_to_close_one(
    exchange: ScriptedFeed, nats: NatsServer
) -> None:
    few = SETTINGS.model_copy(update={"streams_per_user_max": 1})
    async with (
        following_feed(exchange.url, nats.url),
        price_node(nats.url, settings=few) as node,
        node.http("alice") as alice,
        node.http("bob") as bob,
    ):
        query = {"symbols": "AAPL"}
        async with alice.stream("GET", "/subscribe", params=query) as first:
            refused = await alice.get("/subscribe", params=query)
            async with bob.stream("GET", "/subscribe", params=query) as other:
                assert (first.status_code, other.status_code) == (200, 200)
        await eventually(lambda: node.market.hub.viewers == 0, "both are closed")
        async with alice.stream("GET", "/subscribe", params=query) as again:
            assert again.status_code == 200

    assert (refused.status_code, refused.json()["code"]) == (503, "too-many-streams")
    assert 2 <= int(refused.headers["retry-after"]) <= 10


async def test_stream_is_opened_by_get_and_post_only(node: Node) -> None:
    async with node.http() as client:
        answer = await client.put("/subscribe", json={"symbols": ["AAPL"]})

    assert (answer.status_code, answer.json()["code"]) == (405, "method-not-allowed")
    assert answer.headers["allow"] == "GET, POST"


async def test_changed_stream_shows_the_new_symbols_and_no_others(
    exchange: ScriptedFeed, node: Node
) -> None:
    hub = node.market.hub
    async with viewing(node.url, ["AAPL", "META"], snapshot_seen) as heard:
        stream_id = heard.events[0][1]["streamId"]
        assert not await hub.change(stream_id, "somebody-else", ["BRK.B"])
        assert not await hub.change("no-such.stream", "viewer", ["BRK.B"])
        assert await hub.change(stream_id, "viewer", ["BRK.B", "AAPL"])
        await eventually(lambda: heard.price("BRK.B") == 40_000, "the new symbol is shown")

        await exchange.send(exchange.trade("META", 52_000), exchange.trade("AAPL", 15_777))
        await eventually(lambda: heard.price("AAPL") == 15_777, "what stayed goes on")

        assert heard.ticks["META"]["priceInCents"] is None
        prices = [data for kind, data in heard.events if kind == "prices"]
        assert [tick["symbol"] for tick in prices[1]] == ["BRK.B"]
