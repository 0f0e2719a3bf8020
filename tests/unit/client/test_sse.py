from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.sse import EVENT_BYTES_MAX, EventDecoder, EventTooLarge, ServerEvent

STREAM = (
    b"\xef\xbb\xbf: welcome\nretry: 1500\nevent: hello\ndata: {}\n\n"
    b"id: 7\r\nevent: prices\r\ndata: [1,\r\ndata:  2]\r\n\r\n"
    b":\r\revent:live\rdata\r\r"
    b"data: caf\xc3\xa9\n\n"
    b"event: nothing\n\n"
    b"unknown: field\nid: a\x00b\ndata:x\n\n"
    b"data: cut off"
)
EVENTS = [
    ServerEvent("hello", "{}"),
    ServerEvent("prices", "[1,\n 2]"),
    ServerEvent("live", ""),
    ServerEvent("message", "café"),
    ServerEvent("message", "x"),
]


def test_stream_is_read_with_every_line_end_comments_and_several_data_lines() -> None:
    decoder = EventDecoder()

    events = decoder.feed(STREAM)

    assert events == EVENTS
    assert decoder.retry_seconds == 1.5


@given(st.lists(st.integers(min_value=0, max_value=len(STREAM)), max_size=12))
def test_stream_may_be_cut_anywhere(cuts: list[int]) -> None:
    decoder = EventDecoder()
    bounds = [0, *sorted(cuts), len(STREAM)]

    events = [event for start, end in pairwise(bounds) for event in decoder.feed(STREAM[start:end])]

    assert events == EVENTS


def test_stream_may_come_byte_by_byte() -> None:
    decoder = EventDecoder()

    events = [event for byte in STREAM for event in decoder.feed(bytes([byte]))]

    assert events == EVENTS


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_event_without_end_is_given_up(end: bytes) -> None:
    decoder = EventDecoder()

    with pytest.raises(EventTooLarge):
        decoder.feed(b"data: " + b"x" * EVENT_BYTES_MAX + end + b"x")
