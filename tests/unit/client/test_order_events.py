import json
from contextlib import aclosing
from typing import Any

import httpx
import msgspec
import pytest

from client.errors import Refused, Unreachable
from client.order_events import (
    Begun,
    Heartbeat,
    OrderEvent,
    OrderStreamEvent,
    Reset,
)
from client.reconnecting import FIRST_CONNECTS_MAX, Disconnected
from client.sherwood import Sherwood
from tests.unit.client.fake_sherwood import (
    ORDER,
    FakeSherwood,
    Naps,
    Run,
    event_stream,
    problem,
)

PATH = "/orders/stream"
EXECUTION: dict[str, Any] = {
    "id": "E-1",
    "shares": 10,
    "priceInCents": 52_210,
    "bookedShares": 10,
}


def told(kind: str, seq: int | None = None, /, **data: Any) -> bytes:
    """An event as the server writes it."""
    head = b"" if seq is None else b"id: %d\n" % seq
    return head + f"event: {kind}\ndata: ".encode() + msgspec.json.encode(data) + b"\n\n"


def hello(after: int) -> bytes:
    return told("hello", after, after=after, heartbeatSeconds=5)


def order(seq: int, kind: str = "fill") -> bytes:
    execution = EXECUTION if kind == "fill" else None
    return told("order", seq, seq=seq, kind=kind, order=ORDER, execution=execution)


async def first(
    sherwood: Sherwood, event_max: int, after: int | None = None
) -> list[OrderStreamEvent]:
    seen: list[OrderStreamEvent] = []
    async with aclosing(sherwood.follow_orders(after)) as events:
        async for event in events:
            seen.append(event)
            if len(seen) == event_max:
                break
    return seen


def seqs(events: list[OrderStreamEvent]) -> list[int]:
    return [event.seq for event in events if isinstance(event, OrderEvent)]


async def test_stream_tells_events_and_how_far_they_go(
    server: FakeSherwood, sherwood: Sherwood
) -> None:
    whole = hello(4) + order(5) + told("brand-new") + told("heartbeat", lastSeq=5)
    server.answer(
        "GET", PATH, event_stream(whole[:33], whole[33:], told("heartbeat", lastSeq=None))
    )

    begun, event, beat, unknown = await first(sherwood, 4)

    assert begun == Begun(after=4, heartbeat_seconds=5)
    assert isinstance(event, OrderEvent)
    assert event.execution is not None
    assert (event.seq, event.kind, event.execution.price_cents) == (5, "fill", 52_210)
    assert event.order.filled_shares == 10
    assert (beat, unknown) == (Heartbeat(last_seq=5), Heartbeat(last_seq=None))
    assert server.sent("Last-Event-ID") == [None]


async def test_lost_stream_goes_on_after_the_last_event_that_was_told(
    server: FakeSherwood, sherwood: Sherwood, naps: Naps
) -> None:
    server.answer(
        "GET",
        PATH,
        event_stream(hello(0), order(1), order(2), httpx.ReadError("reset")),
        httpx.ConnectError("refused"),
        problem(503, "shutting-down", retryable=True, headers={"Retry-After": "9"}),
        event_stream(hello(2), order(3)),
    )

    seen = await first(sherwood, 8, after=0)

    assert seqs(seen) == [1, 2, 3]
    assert sum(isinstance(event, Disconnected) for event in seen) == 3
    assert server.sent("Last-Event-ID") == ["0", "2", "2", "2"]
    assert naps.seconds[2] >= 9


async def test_stream_that_began_live_is_lost_and_goes_on_from_where_it_began(
    server: FakeSherwood, sherwood: Sherwood
) -> None:
    server.answer("GET", PATH, event_stream(hello(7)), event_stream(hello(7), order(8)))

    seen = await first(sherwood, 4)

    assert server.sent("Last-Event-ID") == [None, "7"]
    assert seqs(seen) == [8]


async def test_what_comes_twice_is_told_once(server: FakeSherwood, sherwood: Sherwood) -> None:
    server.answer(
        "GET", PATH, event_stream(hello(0), order(1), order(2), order(1), order(2), order(3))
    )

    assert seqs(await first(sherwood, 4, after=0)) == [1, 2, 3]


@pytest.mark.parametrize(
    "sign", [order(3), told("heartbeat", lastSeq=3), b"event: order\ndata: {\n\n"]
)
async def test_server_that_leaves_something_out_is_not_believed(
    server: FakeSherwood, sherwood: Sherwood, sign: bytes
) -> None:
    server.answer(
        "GET",
        PATH,
        event_stream(hello(0), order(1), sign),
        event_stream(hello(1), order(2), order(3)),
    )

    seen = await first(sherwood, 6, after=0)

    assert isinstance(seen[2], Disconnected)
    assert seqs(seen) == [1, 2, 3]
    assert server.sent("Last-Event-ID") == ["0", "1"]


async def test_reset_is_told_and_the_stream_goes_on_from_there(
    server: FakeSherwood, sherwood: Sherwood
) -> None:
    server.answer(
        "GET",
        PATH,
        event_stream(hello(2), told("reset", 2, lastSeq=2), order(3), httpx.ReadError("reset")),
        event_stream(hello(3), order(4)),
    )

    seen = await first(sherwood, 6, after=99)

    assert seen[1] == Reset(last_seq=2)
    assert seqs(seen) == [3, 4]
    assert server.sent("Last-Event-ID") == ["99", "3"]


async def test_server_that_refuses_or_was_never_there_ends_the_stream(
    server: FakeSherwood, sherwood: Sherwood
) -> None:
    server.answer("GET", PATH, problem(422, "invalid-request"))
    with pytest.raises(Refused):
        await first(sherwood, 1)

    server.answer("GET", PATH, *[httpx.ConnectError("refused")] * FIRST_CONNECTS_MAX)
    with pytest.raises(Unreachable):
        await first(sherwood, FIRST_CONNECTS_MAX)


async def test_page_of_the_log_is_asked_for_as_wanted(
    server: FakeSherwood, sherwood: Sherwood
) -> None:
    item = {"seq": 8, "kind": "fill", "order": ORDER, "execution": EXECUTION}
    server.answer(
        "GET", "/orders/events", httpx.Response(200, json={"items": [item], "lastSeq": 9})
    )

    page = await sherwood.order_events(7, limit=1)

    assert (page.items[0].seq, page.last_seq) == (8, 9)
    assert dict(server.requests[0].url.params) == {"after": "7", "limit": "1"}


# -- the command ---------------------------------------------------------------------------------


def test_command_prints_a_line_an_event_and_ends_at_its_count(
    server: FakeSherwood, run: Run
) -> None:
    server.answer("GET", PATH, event_stream(hello(0), order(1, "placed"), order(2), order(3)))

    result = run("events", "--after", "0", "--count", "2")

    placed, filled = result.stdout.splitlines()
    assert result.exit_code == 0
    assert placed.split()[:3] == ["1", "14:30:00.180", "placed"]
    assert filled.endswith("buy 10 META at 522.10: filled, 10 of 10 at 522.10; 10 at 522.10")
    assert server.sent("Last-Event-ID") == ["0"]


def test_command_says_what_is_not_an_order_beside_the_lines(server: FakeSherwood, run: Run) -> None:
    server.answer(
        "GET",
        PATH,
        event_stream(hello(0), told("reset", 0, lastSeq=0), told("heartbeat", lastSeq=None)),
        event_stream(hello(0), order(1)),
    )

    result = run("events", "--count", "1")

    assert len(result.stdout.splitlines()) == 1
    assert "reset: the log ends at 0" in result.stderr
    assert "cannot tell now" in result.stderr
    assert "disconnected" in result.stderr


def test_command_writes_json_a_line(server: FakeSherwood, run: Run) -> None:
    server.answer(
        "GET",
        PATH,
        event_stream(hello(0), told("reset", 0, lastSeq=0), told("heartbeat", lastSeq=0)),
        event_stream(hello(0), order(1)),
    )

    result = run("events", "--count", "1", "--json")

    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["event"] for line in lines] == [
        "begun",
        "reset",
        "heartbeat",
        "disconnected",
        "begun",
        "order",
    ]
    assert lines[-1]["execution"] == EXECUTION


def test_command_whose_events_do_not_come_says_so(server: FakeSherwood, run: Run) -> None:
    server.answer("GET", PATH, event_stream(hello(0)), event_stream(hello(0)), event_stream())
    server.answer("GET", PATH, *[event_stream()] * 50)

    assert run("events", "--count", "1", "--seconds", "0").exit_code == 7
    assert run("portfolio", "--as-of", "-1").exit_code == 2
