import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from api.prices_stream import SYMBOLS_MAX
from brokerage.bus.market_facts import MarketFacts
from brokerage.bus.streams import TICKET_SECONDS
from brokerage.contracts.problems import PROBLEMS
from client.auth import BearerToken
from client.errors import Refused
from client.models import Tick
from client.prices import Connected, Prices, PriceStream
from client.sherwood import Sherwood
from devstack.stack import DevStack
from tests.support.accounts import account
from tests.support.eventually import eventually
from tests.support.feeds import STEADY, following_feed
from tests.support.nats_server import NatsServer
from tests.support.ports import free_port
from tests.support.prices import Heard, Node, price_node, signed_by, viewing
from tests.support.running import running
from tests.support.scripted_feed import ScriptedFeed, scripted_feed

SYMBOLS = ("AAPL", "BRK.B", "META")


@pytest.fixture
async def exchange() -> AsyncIterator[ScriptedFeed]:
    async with scripted_feed() as feed:
        feed.trade("AAPL", 15_000)
        feed.trade("BRK.B", 40_000)
        feed.trade("META", 52_210)
        yield feed


@pytest.fixture
async def nodes(exchange: ScriptedFeed, nats: NatsServer) -> AsyncIterator[tuple[Node, Node]]:
    async with (
        following_feed(exchange.url, nats.url, timing=STEADY),
        price_node(nats.url) as holder,
        price_node(nats.url) as another,
    ):
        yield holder, another


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is late is waited for: a slow machine makes no change unavailable."""
    monkeypatch.setattr("brokerage.bus.last_price.ANSWER_SECONDS", 12.0)
    monkeypatch.setattr("brokerage.bus.stream_control.CHANGE_SECONDS", 14.0)
    monkeypatch.setattr("brokerage.bus.stream_control.ANSWER_SECONDS", 16.0)


def snapshot_seen(heard: Heard) -> bool:
    return "prices" in heard.kinds()


def stream_of(heard: Heard) -> str:
    kind, hello = heard.events[0]
    assert kind == "hello"
    stream_id = hello["streamId"]
    assert isinstance(stream_id, str)
    return stream_id


def told_once(heard: Heard) -> bool:
    """True if no tick was told twice; that of another owner of the feed is another."""
    told = [
        (tick["symbol"], tick["v"])
        for kind, ticks in heard.events
        if kind == "prices"
        for tick in ticks
    ]
    return len(told) == len(set(told))


async def change(
    node: Node, stream_id: str, symbols: list[str], user: str = "viewer"
) -> tuple[int, Any]:
    """The status and the body of a change."""
    async with node.http(user) as client:
        answer = await client.patch(f"/subscribe/{stream_id}", json={"symbols": symbols})
    return answer.status_code, answer.json()


def code_of(answer: tuple[int, Any]) -> str:
    status, body = answer
    assert status == PROBLEMS[body["code"]].status
    return str(body["code"])


@pytest.mark.usefixtures("patience")
async def test_stream_shows_other_symbols_when_another_node_is_told_so(
    exchange: ScriptedFeed, nodes: tuple[Node, Node]
) -> None:
    holder, another = nodes
    async with viewing(holder.url, ["AAPL", "BRK.B"], snapshot_seen) as heard:
        stream_id = stream_of(heard)

        changed = await change(another, stream_id, ["META", "BRK.B", "META"])
        await eventually(lambda: heard.price("META") == 52_210, "the new symbol is shown")
        await exchange.send(exchange.trade("AAPL", 1), exchange.trade("BRK.B", 2))
        await eventually(lambda: heard.price("BRK.B") == 2, "what was kept is shown")

        assert changed == (200, {"streamId": stream_id, "symbols": ["META", "BRK.B"]})
        assert heard.price("AAPL") == 15_000, "what was left out is not shown"
        assert told_once(heard), "what was kept is not told again"
        assert holder.market.hub.viewers == 1
        assert another.market.hub.viewers == 0


@pytest.mark.usefixtures("patience")
async def test_repeating_a_change_changes_nothing(nodes: tuple[Node, Node]) -> None:
    holder, another = nodes
    async with viewing(holder.url, ["AAPL"], snapshot_seen) as heard:
        answers = [
            await change(node, stream_of(heard), ["META"]) for node in (another, holder, another)
        ]
        await eventually(lambda: heard.price("META") == 52_210, "the new symbol is shown")

        assert answers == [(200, {"streamId": stream_of(heard), "symbols": ["META"]})] * 3
        assert told_once(heard)


@pytest.mark.usefixtures("patience")
async def test_of_changes_at_once_one_is_what_the_stream_shows_and_no_mixture(
    exchange: ScriptedFeed, nodes: tuple[Node, Node]
) -> None:
    lists = [["AAPL"], ["BRK.B"], ["META"], ["AAPL", "BRK.B"], ["BRK.B", "META"]]
    async with viewing(nodes[0].url, ["AAPL", "BRK.B", "META"], snapshot_seen) as heard:
        async with asyncio.TaskGroup() as tasks:
            changes = [
                tasks.create_task(change(node, stream_of(heard), symbols))
                for symbols in lists
                for node in nodes
            ]
        done = [task.result() for task in changes]
        asked_for = [set(body["symbols"]) for status, body in done if status == 200]
        for cents in (1, 2, 3):
            await exchange.send(*(exchange.trade(symbol, cents) for symbol in SYMBOLS))
            await eventually(partial(shows, heard, cents), "something is shown")
        # One symbol's price may be told a moment before another's.
        await eventually(lambda: shown(heard) in asked_for, "it shows one of them")
        assert {code_of(answer) for answer in done if answer[0] != 200} <= {"unavailable"}


def shows(heard: Heard, cents: int) -> bool:
    return any(heard.price(symbol) == cents for symbol in SYMBOLS)


def shown(heard: Heard) -> set[str]:
    """The symbols whose price was told after all the changes."""
    return {symbol for symbol in SYMBOLS if heard.price(symbol) in (2, 3)}


@pytest.mark.usefixtures("patience")
@pytest.mark.parametrize(
    "stream_id",
    [
        "{holder}.0000",
        "{another}.0000",
        "0123456789.0123456789",
        "nothing",
        "*.*",
        "{holder}.>",
        "{holder}",
        "%20",
        "x" * 2_000,
        "{STREAM}",
    ],
)
async def test_stream_that_is_none_or_not_yours_is_not_found(
    nodes: tuple[Node, Node], stream_id: str
) -> None:
    holder, another = nodes
    async with viewing(holder.url, ["AAPL"], snapshot_seen) as heard:
        asked = stream_id.format(
            holder=holder.market.hub.node_id,
            another=another.market.hub.node_id,
            STREAM=stream_of(heard).upper(),
        )

        answers = [await change(node, asked, ["META"]) for node in nodes]
        answers += [await change(node, stream_of(heard), ["META"], "mallory") for node in nodes]

        assert {code_of(answer) for answer in answers} == {"stream-not-found"}
        assert all(answer == answers[0] for answer in answers)
        assert "META" not in heard.ticks


@pytest.mark.usefixtures("patience")
async def test_ended_stream_and_stream_of_an_ended_node_are_not_found(
    exchange: ScriptedFeed, nats: NatsServer
) -> None:
    async with following_feed(exchange.url, nats.url), price_node(nats.url) as another:
        async with AsyncExitStack() as life:
            holder = await life.enter_async_context(price_node(nats.url))
            async with viewing(holder.url, ["AAPL"], snapshot_seen) as heard:
                assert (await change(another, stream_of(heard), ["META"]))[0] == 200
            await eventually(lambda: holder.market.hub.viewers == 0, "the viewer has left")
            ended = await change(another, stream_of(heard), ["AAPL"])

        gone = await change(another, stream_of(heard), ["AAPL"])

    assert code_of(ended) == code_of(gone) == "stream-not-found"


@pytest.mark.usefixtures("patience")
@pytest.mark.parametrize(
    ("body", "code"),
    [
        ('{"symbols": ["AAPL", "NONE"]}', "unknown-symbol"),
        ('{"symbols": ["aapl"]}', "unknown-symbol"),
        ('{"symbols": ["*"]}', "unknown-symbol"),
        ('{"symbols": [">"]}', "unknown-symbol"),
        ('{"symbols": ["BRK_B"]}', "unknown-symbol"),
        ('{"symbols": ["AAPL\\u0000"]}', "unknown-symbol"),
        ('{"symbols": ["\\ud800"]}', "malformed-json"),
        ('{"symbols": []}', "invalid-request"),
        ('{"symbols": [1]}', "invalid-request"),
        ('{"symbols": "AAPL"}', "invalid-request"),
        ('{"symbols": null}', "invalid-request"),
        ("{}", "invalid-request"),
        ("[]", "invalid-request"),
        ('{"symbols": ["AAPL"], "add": true}', "unknown-field"),
        ("{", "malformed-json"),
        ("", "malformed-json"),
    ],
)
async def test_bad_change_has_its_code_and_changes_nothing(
    nodes: tuple[Node, Node], body: str, code: str
) -> None:
    holder, another = nodes
    async with viewing(holder.url, ["META"], snapshot_seen) as heard, another.http() as client:
        refused = await client.patch(
            f"/subscribe/{stream_of(heard)}",
            content=body,
            headers={"content-type": "application/json"},
        )

        assert code_of((refused.status_code, refused.json())) == code
        assert refused.json()["retryable"] is False
        assert set(heard.ticks) == {"META"}


@pytest.mark.usefixtures("patience")
async def test_change_in_another_form_or_too_large_is_refused(nodes: tuple[Node, Node]) -> None:
    async with nodes[0].http() as client:
        form = await client.patch("/subscribe/a.b", data={"symbols": "AAPL"})
        large = await client.patch("/subscribe/a.b", json={"symbols": ["A" * 9_000]})

    assert code_of((form.status_code, form.json())) == "unsupported-media-type"
    assert code_of((large.status_code, large.json())) == "body-too-large"


@pytest.mark.usefixtures("patience")
async def test_stream_shows_as_many_symbols_as_it_may_and_not_one_more(
    nodes: tuple[Node, Node],
) -> None:
    names = [f"S{number}" for number in range(SYMBOLS_MAX + 1)]
    directory = [{"symbol": name, "name": name} for name in (*SYMBOLS, *names)]
    for node in nodes:
        await MarketFacts(node.bus).put_directory(json.dumps(directory).encode())
    for node in nodes:
        await eventually(partial(knows, node, names[-1]), "all are known")
    holder, another = nodes
    async with viewing(holder.url, ["AAPL"], snapshot_seen) as heard:
        most = await change(another, stream_of(heard), names[:SYMBOLS_MAX])
        await eventually(lambda: set(names[:-1]) <= set(heard.ticks), "all of them are shown")
        too_many = await change(another, stream_of(heard), names)

    assert most == (200, {"streamId": stream_of(heard), "symbols": names[:SYMBOLS_MAX]})
    assert code_of(too_many) == "invalid-request"
    assert names[-1] not in heard.ticks


def knows(node: Node, symbol: str) -> bool:
    return node.market.directory.name_of(symbol) is not None


async def test_without_nats_only_what_the_streams_own_node_already_follows_can_be_had(
    exchange: ScriptedFeed, nats: NatsServer, nodes: tuple[Node, Node]
) -> None:
    holder, another = nodes
    async with (
        viewing(holder.url, ["AAPL", "BRK.B"], snapshot_seen),
        viewing(holder.url, ["AAPL"], snapshot_seen) as heard,
    ):
        await nats.kill()
        followed = await change(holder, stream_of(heard), ["BRK.B"])
        new = await change(holder, stream_of(heard), ["META"])
        through_another = await change(another, stream_of(heard), ["AAPL"])
        await eventually(lambda: heard.price("BRK.B") == 40_000, "it is shown")

        assert followed == (200, {"streamId": stream_of(heard), "symbols": ["BRK.B"]})
        assert code_of(new) == code_of(through_another) == "unavailable"
        assert not heard.ended

        await nats.start()

        async def is_changed() -> bool:
            answer = await change(another, stream_of(heard), ["META"])
            assert answer[0] == 200 or code_of(answer) == "unavailable", answer
            return answer[0] == 200

        await eventually(is_changed, "it can be had again", 60)
        await exchange.send(exchange.trade("META", 7))
        await eventually(lambda: heard.price("META") == 7, "the new symbol is shown")


@pytest.mark.usefixtures("patience")
async def test_client_changes_what_it_watches(
    exchange: ScriptedFeed, nodes: tuple[Node, Node]
) -> None:
    node, _ = nodes
    auth = BearerToken(signed_by("alice")["authorization"].removeprefix("Bearer "))
    async with (
        Sherwood(node.url, auth=auth) as sherwood,
        aclosing(sherwood.prices(["AAPL"])) as stream,
    ):
        assert isinstance(await anext(stream), Connected)
        assert [tick.symbol for tick in await ticks_of(stream, "AAPL")] == ["AAPL"]

        with pytest.raises(Refused, match="unknown-symbol"):
            await stream.change(["NONE"])
        await stream.change(["META"])

        changed = await ticks_of(stream, "META")
        assert [(tick.symbol, tick.price_cents) for tick in changed] == [("META", 52_210)]
        assert (await sherwood.stream_ticket()).expires_in_seconds == TICKET_SECONDS
        assert node.market.hub.viewers == 1


async def ticks_of(stream: PriceStream, symbol: str) -> tuple[Tick, ...]:
    """What is told together with the first tick of this symbol from here on."""
    async for event in stream:
        if isinstance(event, Prices) and symbol in [tick.symbol for tick in event.ticks]:
            return event.ticks
    raise AssertionError("the stream ended")


async def test_stream_of_a_killed_process_is_not_found_through_another(
    stack: DevStack, tmp_path: Path
) -> None:
    port = free_port()
    environment = {
        **stack.env,
        "SHERWOOD_API_PORT": str(port),
        "SHERWOOD_TOKEN_SECRET": (stack.settings.home / "token-secret").read_text().strip(),
    }
    url = f"http://127.0.0.1:{port}"
    async with (
        running(
            "api", environment=environment, ready_url=f"{url}/readyz", log=tmp_path / "log"
        ) as holder,
        account(stack.api_url, f"user-{uuid4().hex[:12]}") as alice,
        httpx.AsyncClient(headers=alice.http.headers, trust_env=False, timeout=30) as client,
    ):
        async with client.stream("POST", f"{url}/subscribe", json={"symbols": ["SPY"]}) as stream:
            lines = stream.aiter_lines()
            stream_id = ""
            async for line in lines:
                if line.startswith("data:"):
                    stream_id = json.loads(line.removeprefix("data:"))["streamId"]
                    break

            async def is_changed() -> None:
                answer = await alice.http.patch(
                    f"/subscribe/{stream_id}", json={"symbols": ["IBM"]}
                )
                # On a machine that is too busy it is unavailable.
                assert answer.status_code == 200, answer.text
                assert answer.json()["symbols"] == ["IBM"]

            await eventually(is_changed, "the stream is changed")
            async for line in lines:
                if line.startswith("data: [") and '"IBM"' in line:
                    break
            await holder.kill()
            with pytest.raises(httpx.HTTPError):
                _ = [line async for line in lines]

        async def is_gone() -> bool:
            answer = await alice.http.patch(f"/subscribe/{stream_id}", json={"symbols": ["SPY"]})
            return bool(answer.json()["code"] == "stream-not-found")

        await eventually(is_gone, "the stream is not found")
