"""Halts and sessions on their way from the exchange's feed to an API node."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from msgspec.structs import replace

from tests.support.eventually import eventually
from tests.support.feeds import PATIENT, following_feed
from tests.support.nats_server import NatsServer
from tests.support.prices import Node, price_node
from tests.support.scripted_feed import OPEN, ScriptedFeed, scripted_feed


@pytest.fixture
async def exchange() -> AsyncIterator[ScriptedFeed]:
    async with scripted_feed() as feed:
        feed.trade("AAPL", 15_000)
        yield feed


@pytest.fixture
async def node(exchange: ScriptedFeed, nats: NatsServer) -> AsyncIterator[Node]:
    async with following_feed(exchange.url, nats.url), price_node(nats.url) as node:
        yield node


@pytest.fixture
async def steady_node(
    exchange: ScriptedFeed, nats: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Node]:
    """A node whose feed keeps its connection, however slow the machine is."""
    monkeypatch.setattr("streaming.following.SILENCE_SECONDS", 60.0)
    async with (
        following_feed(exchange.url, nats.url, timing=PATIENT),
        price_node(nats.url) as node,
    ):
        yield node


async def hears_of_halts(node: Node, *symbols: str) -> None:
    """Return once the node knows that these and no others are halted."""

    def so() -> bool:
        beat = node.market.hub.beat
        return beat is not None and beat.trading.halted == frozenset(symbols)

    await eventually(so, f"the node knows that {symbols} are halted", 60)


async def test_halt_reaches_the_node_without_waiting_for_a_heartbeat(
    exchange: ScriptedFeed, steady_node: Node
) -> None:
    exchange.beating = False

    await exchange.send(exchange.halt("AAPL", "META"))

    await hears_of_halts(steady_node, "AAPL", "META")
    assert len(exchange.queries) == 1


async def test_halt_that_was_lost_on_the_way_is_noticed_by_the_next_heartbeat(
    exchange: ScriptedFeed, node: Node
) -> None:
    exchange.halt("AAPL")

    await hears_of_halts(node, "AAPL")
    assert len(exchange.queries) >= 2


async def test_older_status_that_comes_late_changes_nothing(
    exchange: ScriptedFeed, steady_node: Node
) -> None:
    older = exchange.halt("AAPL")
    newer = exchange.halt("META")
    await exchange.send(newer, older)

    await hears_of_halts(steady_node, "META")
    await exchange.send(exchange.halt("BRK.B"))
    await hears_of_halts(steady_node, "BRK.B")
    assert len(exchange.queries) == 1


async def test_clock_tells_what_the_exchange_says(exchange: ScriptedFeed, node: Node) -> None:
    exchange.trading = replace(OPEN, version=2, state="closed", sessions="regular")
    await exchange.send(exchange.halt("META", "AAPL"))
    await hears_of_halts(node, "AAPL", "META")

    async with node.http() as http:

        async def told() -> httpx.Response:
            answer = await http.get("/clock")
            assert answer.json()["feed"] == "live"
            return answer

        answer: httpx.Response = await eventually(told, "the clock is told")

    clock = answer.json()
    assert answer.headers["cache-control"] == "no-store"
    assert clock.pop("at") > "2026"
    assert clock == {
        "exchangeAt": "2026-09-21T14:13:20.000000Z",
        "feed": "live",
        "isOpen": False,
        "sessions": "regular",
        "nextOpenAt": "2026-09-21T15:10:00.000000Z",
        "nextCloseAt": "2026-09-21T20:00:00.000000Z",
        "halted": ["AAPL", "META"],
    }


async def test_clock_says_what_it_does_not_know_while_nats_is_away_and_knows_it_again(
    exchange: ScriptedFeed, nats: NatsServer, node: Node
) -> None:
    async with node.http() as http:
        await nats.kill()
        exchange.halt("AAPL")

        async def is_stale() -> bool:
            return bool((await http.get("/clock")).json()["feed"] == "stale")

        await eventually(is_stale, "the node knows that it knows nothing")
        unknown = (await http.get("/clock")).json()
        await nats.start()

        async def is_known() -> dict[str, Any]:
            known: dict[str, Any] = (await http.get("/clock")).json()
            assert known["halted"] == ["AAPL"]
            return known

        known = await eventually(is_known, "the node knows it again", 60)

    assert {name for name, value in unknown.items() if value is None} == {
        "exchangeAt", "isOpen", "sessions", "nextOpenAt", "nextCloseAt", "halted",
    }  # fmt: skip
    assert (known["feed"], known["isOpen"], known["halted"]) == ("live", True, ["AAPL"])
