"""Recorded price streams are read as they came, and every broken promise is found."""

import json
from typing import Any

import pytest

from bench.prices.wire import (
    BadStream,
    Recording,
    ages_ms,
    body_of,
    emission_ages_ms,
    events,
    stale,
)
from brokerage.bus.tick import version

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def _tick(symbol: str, v: int | None) -> dict[str, Any]:
    return {"symbol": symbol, "priceInCents": 100, "at": "2026-11-25T10:00:00.250Z", "v": v}


def _prices(*ticks: dict[str, Any]) -> bytes:
    data = json.dumps(ticks, separators=(",", ":")).encode()
    return b"event: prices\ndata: %b\n\n" % data


def _stream(*parts: bytes) -> bytes:
    return HEAD + b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)


HELLO = b'retry: 1000\nevent: hello\ndata: {"streamId":"a"}\n\n'
SNAPSHOT = _prices(_tick("A", 7), _tick("B", None))


def _recorded(*parts: bytes) -> Recording:
    recording = Recording(["A", "B"])
    recording.read(_stream(*parts))
    return recording


def test_chunks_are_joined_and_a_cut_one_is_kept_as_far_as_it_came() -> None:
    stream = _stream(b"event: a\nda", b"ta: 1\n\nevent: b")

    assert body_of(stream[:-4]) == b"event: a\ndata: 1\n\nevent:"


def test_a_chunk_may_hold_what_looks_like_its_end() -> None:
    assert body_of(_stream(b"data: x\r\n\r\n", b"5\r\nab")) == b"data: x\r\n\r\n5\r\nab"


def test_an_answer_without_chunks_is_its_own_body() -> None:
    assert body_of(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\ndata: 1\n\n") == b"data: 1\n\n"


@pytest.mark.parametrize(
    "stream",
    [
        b"",
        b"HTTP/1.1 503 Service Unavailable\r\n\r\n",
        HEAD + b"xyz\r\n",
        HEAD + b"2\r\nabcd\r\n",
    ],
)
def test_what_is_no_stream_is_refused(stream: bytes) -> None:
    with pytest.raises(BadStream):
        body_of(stream)


def test_events_end_lines_either_way_and_comments_are_none() -> None:
    body = b'event: price\r\ndata: {"v": 1}\r\n\r\n: ping\n\ndata: x\n\nevent: cut\ndata: '

    assert list(events(body)) == [("price", '{"v": 1}'), ("message", "x")]


def test_a_stream_as_promised_has_no_faults() -> None:
    recording = _recorded(HELLO, SNAPSHOT, _prices(_tick("B", 8)), _prices(_tick("A", 9)))
    recording.compare({"A": 9, "B": 8, "C": 10})

    assert recording.faults == []
    assert recording.updates == 3


@pytest.mark.parametrize(
    ("parts", "fault"),
    [
        ([SNAPSHOT], "the first event is not hello"),
        ([HELLO, _prices(_tick("A", 7))], "the snapshot is not of the viewer's symbols"),
        ([HELLO, SNAPSHOT, _prices(_tick("A", 7))], "A went from 7 to 7"),
        ([HELLO, SNAPSHOT, _prices(_tick("A", 6))], "A went from 7 to 6"),
        ([HELLO, SNAPSHOT, _prices(_tick("C", 9))], "C was not asked for"),
    ],
)
def test_each_broken_promise_is_found(parts: list[bytes], fault: str) -> None:
    assert fault in _recorded(*parts).faults


def test_a_viewer_that_was_left_behind_is_found() -> None:
    recording = _recorded(HELLO, SNAPSHOT)
    recording.compare({"A": 8, "B": 9})

    assert recording.faults == ["A ended at 7, not 8", "B ended at None, not 9"]


def test_ages_are_of_whole_ticks_whatever_the_epoch_and_the_spaces() -> None:
    part = b'{"v":%d},{"v": %d},{"v":12' % (version(3, 1_000), version(1, 4_500))

    assert ages_ms(part, 5_000) == [4.0, 0.5]


def test_ages_from_emission_count_from_the_time_in_the_tick() -> None:
    part = b'{"symbol":"A","at":"1970-01-01T00:00:10.250Z","v":1},{"at":"1970-01-01T00:00:11'

    assert emission_ages_ms(part, 10.5) == [250.0]


def test_stale_bytes_end_with_the_last_old_value() -> None:
    old, new = b'{"v":%d}' % version(1, 10), b'{"v":%d}' % version(1, 20)

    assert stale(old + new + old + new, 15) == (2, len(old + new + old))
    assert stale(new, 15) == (0, 0)
