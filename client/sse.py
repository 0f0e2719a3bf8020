"""Server-sent events, decoded as bytes arrive (WHATWG HTML, "event stream interpretation")."""

import codecs
from dataclasses import dataclass
from typing import Final

EVENT_BYTES_MAX: Final = 16 * 1024 * 1024
"""An event larger than this is no price update; the stream is given up instead of memory."""


class EventTooLarge(Exception):
    """More than EVENT_BYTES_MAX bytes came without an event being complete."""


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One event: its name (`message` unless the server named it) and its data."""

    name: str
    data: str


class EventDecoder:
    """Turns chunks of a stream, cut anywhere, into events.

    `retry_seconds` is the delay the server last asked clients to wait before reconnecting.
    An event the stream ends in the middle of is never returned.
    """

    def __init__(self) -> None:
        self.retry_seconds: float | None = None
        self._rest = bytearray()
        self._at_start = True
        self._after_cr = False
        self._name = ""
        self._data: list[str] = []
        self._data_length = 0

    def feed(self, chunk: bytes) -> list[ServerEvent]:
        """Return the events that `chunk` completes. Raises EventTooLarge."""
        events = []
        for line in self._lines(chunk):
            event = self._take(line)
            if event is not None:
                events.append(event)
        if len(self._rest) + self._data_length > EVENT_BYTES_MAX:
            raise EventTooLarge
        return events

    def _lines(self, chunk: bytes) -> list[str]:
        # A chunk may end between the CR and the LF of one line end.
        if self._after_cr and chunk:
            chunk = chunk.removeprefix(b"\n")
            self._after_cr = False
        if not chunk:
            return []
        self._after_cr = chunk.endswith(b"\r")
        self._rest += chunk
        if b"\n" not in chunk and b"\r" not in chunk:
            return []
        *complete, rest = (
            bytes(self._rest).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        )
        self._rest = bytearray(rest)
        if self._at_start and complete:
            complete[0] = complete[0].removeprefix(codecs.BOM_UTF8)
            self._at_start = False
        return [line.decode(errors="replace") for line in complete]

    def _take(self, line: str) -> ServerEvent | None:
        if not line:
            return self._dispatch()
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            self._name = value
        elif field == "data":
            self._data.append(value)
            self._data_length += len(value)
        elif field == "retry" and value.isascii() and value.isdigit():
            self.retry_seconds = int(value) / 1000
        return None  # a comment has an empty field name and, like any unknown field, says nothing

    def _dispatch(self) -> ServerEvent | None:
        name, data = self._name or "message", self._data
        self._name, self._data, self._data_length = "", [], 0
        return ServerEvent(name, "\n".join(data)) if data else None
