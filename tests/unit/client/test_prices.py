import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing

import httpx
import msgspec
import pytest

from client.command.watch import PriceBoard
from client.errors import Refused, Unreachable
from client.models import Tick
from client.prices import Connected, Live, PriceEvent, Prices, Stale
from client.reconnecting import FIRST_CONNECTS_MAX, Disconnected
from client.sherwood import Sherwood
from tests.unit.client.fake_sherwood import (
    HELLO,
    FakeSherwood,
    Naps,
    event_stream,
    prices,
    problem,
)


async def first(sherwood: Sherwood, event_max: int) -> list[PriceEvent]:
    seen: list[PriceEvent] = []
    async with aclosing(sherwood.prices(["META"])) as events:
        async for event in events:
            seen.append(event)
            if len(seen) == event_max:
                break
    return seen


async def test_stream_tells_prices_stale_and_live_and_ignores_the_rest(
    server: FakeSherwood, sherwood: Sherwood
) -> None:
    server.answer(
        "POST",
        "/subscribe",
        event_stream(
            HELLO,
            prices()[:20],
            prices()[20:],
            b": heartbeat\n\nevent: brand-new\ndata: {}\n\n",
            b"event: stale\ndata: {}\n\nevent: live\ndata: {}\n\n",
        ),
    )

    connected, snapshot, stale, live = await first(sherwood, 4)

    assert json.loads(server.requests[0].content) == {"symbols": ["META"]}
    assert server.requests[0].headers["Authorization"] == "Bearer t0ken"
    assert connected == Connected("s1")
    assert isinstance(snapshot, Prices)
    assert snapshot.ticks[0].price_cents == 52_210
    assert (stale, live) == (Stale(), Live())


async def test_lost_stream_comes_back_after_a_growing_wait(
    server: FakeSherwood, sherwood: Sherwood, naps: Naps
) -> None:
    server.answer(
        "POST",
        "/subscribe",
        event_stream(HELLO, prices(), httpx.ReadError("reset")),
        httpx.ConnectError("refused"),
        problem(503, "draining", headers={"Retry-After": "9"}),
        event_stream(b"retry: 20000\n", HELLO, prices(priceInCents=52_300, v=8)),
    )

    seen = await first(sherwood, 8)

    kinds = [type(event) for event in seen]
    assert kinds == [Connected, Prices, *[Disconnected] * 3, Connected, Prices, Disconnected]
    assert 0.25 <= naps.seconds[0] <= 0.5
    assert 0.5 <= naps.seconds[1] <= 1.0
    assert naps.seconds[2] == 9.0
    assert isinstance(seen[-1], Disconnected)
    assert seen[-1].retry_seconds == 20.0


async def test_unreadable_stream_is_left_and_taken_up_again(
    server: FakeSherwood, sherwood: Sherwood
) -> None:
    server.answer(
        "POST",
        "/subscribe",
        event_stream(HELLO, b"event: prices\ndata: [{]\n\n"),
        event_stream(HELLO, prices()),
    )

    seen = await first(sherwood, 4)

    assert [type(event) for event in seen] == [Connected, Disconnected, Connected, Prices]


async def test_silent_stream_is_left(server: FakeSherwood, sherwood: Sherwood) -> None:
    class Silent(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b'event: hello\ndata: {"heartbeatSeconds": 0.01}\n\n'
            await never.wait()

    never = asyncio.Event()
    server.answer("POST", "/subscribe", httpx.Response(200, stream=Silent()))

    _, lost = await first(sherwood, 2)

    assert isinstance(lost, Disconnected)
    assert "silent" in lost.reason


async def test_refused_stream_is_not_tried_again(server: FakeSherwood, sherwood: Sherwood) -> None:
    server.answer("POST", "/subscribe", problem(422, "unknown-symbol"))

    with pytest.raises(Refused, match="unknown-symbol"):
        await first(sherwood, 1)


async def test_server_that_was_never_there_is_given_up(
    server: FakeSherwood, sherwood: Sherwood
) -> None:
    refusals = [httpx.ConnectError("refused") for _ in range(FIRST_CONNECTS_MAX)]
    server.answer("POST", "/subscribe", *refusals)

    with pytest.raises(Unreachable):
        await first(sherwood, 99)

    assert len(server.requests) == FIRST_CONNECTS_MAX


def tick(v: int, price_cents: int) -> Tick:
    return msgspec.structs.replace(
        Tick(symbol="META", open_cents=52_000), v=v, price_cents=price_cents
    )


def test_board_keeps_the_newest_price_and_takes_no_step_back() -> None:
    board = PriceBoard(["META", "AAPL"])

    board.apply(Connected("s1"))
    fresh = board.apply(Prices((tick(7, 52_210),)))
    old = board.apply(Prices((tick(6, 1), tick(7, 1))))

    assert (len(fresh), old) == (1, ())
    assert board.ticks == {"META": tick(7, 52_210), "AAPL": None}


def test_board_believes_a_server_that_began_anew() -> None:
    board = PriceBoard(["META"])
    board.apply(Connected("s1"))
    board.apply(Prices((tick(900, 52_210),)))

    board.apply(Disconnected("reset", 1.0))
    lost = board.state
    board.apply(Connected("s2"))
    board.apply(Prices((tick(1, 52_000),)))

    assert lost == "disconnected"
    assert board.state == "live"
    assert board.ticks["META"] == tick(1, 52_000)
    assert list(board.trend_cents["META"]) == [52_210, 52_000]
