import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing

import httpx
import pytest

from client.errors import Refused, Unavailable
from client.prices import Connected, Prices
from client.reconnecting import Disconnected
from client.retry import RetryPolicy
from client.sherwood import Sherwood
from tests.unit.client.fake_sherwood import (
    HELLO,
    FakeSherwood,
    Naps,
    event_stream,
    prices,
    problem,
)


class Open(httpx.AsyncByteStream):
    """A stream that says hello, then nothing more until it is `shut`."""

    def __init__(self, *chunks: bytes) -> None:
        self._chunks = chunks or (HELLO, prices())
        self._end = asyncio.Event()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            yield chunk
        await self._end.wait()

    def shut(self) -> None:
        self._end.set()


def bodies(server: FakeSherwood, method: str) -> list[list[str]]:
    return [
        json.loads(request.content)["symbols"]
        for request in server.requests
        if request.method == method
    ]


async def test_live_stream_is_told_what_else_is_wanted(
    server: FakeSherwood, sherwood: Sherwood
) -> None:
    live = Open()
    server.answer("POST", "/subscribe", httpx.Response(200, stream=live))
    server.answer("PATCH", "/subscribe/s1", httpx.Response(200), httpx.Response(200))

    async with aclosing(sherwood.prices(["META"])) as stream:
        assert await anext(stream) == Connected("s1")
        await stream.change(["AAPL", "IBM"])
        await stream.change(["IBM"])
        assert isinstance(await anext(stream), Prices)
        live.shut()
        assert isinstance(await anext(stream), Disconnected)

    assert bodies(server, "PATCH") == [["AAPL", "IBM"], ["IBM"]]
    assert stream.symbols == ("IBM",)
    assert server.requests[1].headers["Authorization"] == "Bearer t0ken"


async def test_changes_at_once_are_sent_one_after_the_other(
    server: FakeSherwood, sherwood: Sherwood
) -> None:
    server.answer("POST", "/subscribe", httpx.Response(200, stream=Open()))
    server.answer("PATCH", "/subscribe/s1", *(httpx.Response(200) for _ in range(5)))

    async with aclosing(sherwood.prices(["META"])) as stream:
        await anext(stream)
        async with asyncio.TaskGroup() as tasks:
            for number in range(5):
                tasks.create_task(stream.change([f"S{number}"]))

    assert bodies(server, "PATCH") == [[f"S{number}"] for number in range(5)]
    assert stream.symbols == ("S4",)


async def test_refused_change_leaves_everything_as_it_was(
    server: FakeSherwood, sherwood: Sherwood
) -> None:
    server.answer(
        "POST", "/subscribe", httpx.Response(200, stream=Open()), event_stream(HELLO, prices())
    )
    server.answer("PATCH", "/subscribe/s1", problem(422, "unknown-symbol"))

    async with aclosing(sherwood.prices(["META"])) as stream:
        await anext(stream)
        with pytest.raises(Refused, match="unknown-symbol"):
            await stream.change(["NOSUCH"])

        assert stream.symbols == ("META",)
        assert isinstance(await anext(stream), Prices)


async def test_change_of_a_stream_that_has_ended_opens_another(
    server: FakeSherwood, sherwood: Sherwood, naps: Naps
) -> None:
    server.answer(
        "POST",
        "/subscribe",
        httpx.Response(200, stream=Open()),
        event_stream(HELLO, prices(symbol="AAPL")),
    )
    server.answer("PATCH", "/subscribe/s1", problem(404, "stream-not-found"))

    async with aclosing(sherwood.prices(["META"])) as stream:
        before = [await anext(stream), await anext(stream)]
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(stream.__anext__())
            await asyncio.sleep(0)
            await stream.change(["AAPL"])
        after = [await anext(stream), await anext(stream)]

    assert [type(event) for event in before] == [Connected, Prices]
    lost = waiting.result()
    assert isinstance(lost, Disconnected)
    assert lost.retry_seconds == 0.0
    assert [type(event) for event in after] == [Connected, Prices]
    assert bodies(server, "POST") == [["META"], ["AAPL"]]
    assert naps.seconds == []


async def test_stream_that_is_not_waited_for_is_left_at_the_next_look(
    server: FakeSherwood, sherwood: Sherwood
) -> None:
    server.answer(
        "POST", "/subscribe", httpx.Response(200, stream=Open()), event_stream(HELLO, prices())
    )
    server.answer("PATCH", "/subscribe/s1", problem(404, "stream-not-found"))

    async with aclosing(sherwood.prices(["META"])) as stream:
        await anext(stream)
        await stream.change(["AAPL"])
        kinds = [type(await anext(stream)) for _ in range(3)]

    assert kinds == [Disconnected, Connected, Prices]


async def test_change_without_a_connection_is_what_the_next_one_asks_for(
    server: FakeSherwood, sherwood: Sherwood
) -> None:
    server.answer("POST", "/subscribe", event_stream(HELLO, prices()), problem(422, "unknown"))

    async with aclosing(sherwood.prices(["META"])) as stream:
        await stream.change(["AAPL"])
        while not isinstance(await anext(stream), Disconnected):
            pass
        await stream.change(["NOSUCH"])
        with pytest.raises(Refused):
            await anext(stream)

    assert bodies(server, "POST") == [["AAPL"], ["NOSUCH"]]
    assert bodies(server, "PATCH") == []


async def test_change_while_a_connection_comes_about_is_told_after_its_hello(
    server: FakeSherwood, sherwood: Sherwood
) -> None:
    class Slow(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            await stream.change(["AAPL"])
            yield HELLO
            yield prices(symbol="AAPL")

    server.answer("POST", "/subscribe", httpx.Response(200, stream=Slow()))
    server.answer("PATCH", "/subscribe/s1", httpx.Response(200))

    async with aclosing(sherwood.prices(["META"])) as stream:
        kinds = [type(await anext(stream)) for _ in range(2)]

    assert kinds == [Connected, Prices]
    assert bodies(server, "POST") == [["META"]]
    assert bodies(server, "PATCH") == [["AAPL"]]


async def test_change_that_nobody_answers_is_told_and_holds_for_the_next_connection(
    server: FakeSherwood, sherwood: Sherwood
) -> None:
    live = Open()
    server.answer(
        "POST", "/subscribe", httpx.Response(200, stream=live), event_stream(HELLO, prices())
    )
    refusals = [problem(503, "unavailable") for _ in range(RetryPolicy().attempts_max)]
    server.answer("PATCH", "/subscribe/s1", *refusals)

    async with aclosing(sherwood.prices(["META"])) as stream:
        await anext(stream)
        with pytest.raises(Unavailable):
            await stream.change(["AAPL"])
        assert isinstance(await anext(stream), Prices)
        live.shut()
        assert isinstance(await anext(stream), Disconnected)
        assert isinstance(await anext(stream), Connected)

    assert bodies(server, "POST") == [["META"], ["AAPL"]]


async def test_ticket_is_fetched_for_a_browser(server: FakeSherwood, sherwood: Sherwood) -> None:
    answer = {"ticket": "opaque", "expiresInSeconds": 10}
    server.answer("POST", "/stream-ticket", httpx.Response(200, json=answer))

    ticket = await sherwood.stream_ticket()

    assert (ticket.ticket, ticket.expires_in_seconds) == ("opaque", 10)
    assert server.requests[0].headers["Authorization"] == "Bearer t0ken"
