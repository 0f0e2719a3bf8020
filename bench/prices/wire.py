"""Reading recorded streams: HTTP chunks, events, ticks, and whether they are as promised. Pure."""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from brokerage.bus.tick import EPOCH_SHIFT

VERSION: Final = re.compile(rb'"v": ?(\d+)\}')
EMITTED: Final = re.compile(rb'"at": ?"([^"Z]+)Z"')
SEQUENCE: Final = 2**EPOCH_SHIFT - 1


class BadStream(Exception):
    """Bytes that are no event stream over HTTP/1.1."""


def ages_ms(part: bytes, now_us: int) -> list[float]:
    """Return how old the ticks in a part of a stream are: versions count microseconds.

    Ticks that are cut at the part's edge are left out.
    """
    return [(now_us - (int(v) & SEQUENCE)) / 1000 for v in VERSION.findall(part)]


def emission_ages_ms(part: bytes, now: float) -> list[float]:
    """Return how long ago (`now` in seconds since 1970) the ticks' trades were emitted."""
    return [
        (now - datetime.fromisoformat(f"{text.decode()}+00:00").timestamp()) * 1000
        for text in EMITTED.findall(part)
    ]


def stale(part: bytes, since_us: int) -> tuple[int, int]:
    """Return how many ticks are older than `since_us`, and how many bytes end with the last."""
    old = [found for found in VERSION.finditer(part) if int(found[1]) & SEQUENCE < since_us]
    return len(old), old[-1].end() if old else 0


def body_of(stream: bytes) -> bytes:
    """Return what an answer's chunks say together; the last may be cut. Raises `BadStream`."""
    head, separator, rest = stream.partition(b"\r\n\r\n")
    if not separator or not head.startswith(b"HTTP/1.1 200"):
        raise BadStream(f"not 200: {stream[:60]!r}")
    if b"transfer-encoding: chunked" not in head.lower():
        return rest
    parts: list[bytes] = []
    at = 0
    while (line_end := rest.find(b"\r\n", at)) >= 0:
        try:
            length = int(rest[at:line_end], 16)
        except ValueError:
            raise BadStream(f"no chunk length: {rest[at : at + 20]!r}") from None
        start = line_end + 2
        parts.append(rest[start : start + length])
        at = start + length + 2
        if length == 0 or at > len(rest):
            break
        if rest[at - 2 : at] != b"\r\n":
            raise BadStream(f"no end of chunk: {rest[at - 10 : at]!r}")
    return b"".join(parts)


def events(body: bytes) -> Iterator[tuple[str, str]]:
    """Yield name and data of each whole event."""
    *blocks, _ = body.replace(b"\r\n", b"\n").split(b"\n\n")
    for block in blocks:
        fields = [line.partition(": ") for line in block.decode().split("\n")]
        data = [value for name, _, value in fields if name == "data"]
        if data:
            names = [value for name, _, value in fields if name == "event"]
            yield names[0] if names else "message", "\n".join(data)


@dataclass
class Recording:
    """One viewer's stream, read from its beginning."""

    symbols: Collection[str]
    updates: int = 0
    newest: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def read(self, stream: bytes) -> None:
        """Take the whole of it; what is wrong is added to `faults`."""
        try:
            named = list(events(body_of(stream)))
        except BadStream as error:
            self.faults.append(str(error))
            return
        if not named or named[0][0] != "hello":
            self.faults.append("the first event is not hello")
        first = True
        for name, data in named:
            if name == "prices":
                self._prices(json.loads(data), first)
                first = False

    def compare(self, newest: Mapping[str, int]) -> None:
        """Note every symbol whose last shown version is not the newest there is."""
        for symbol in self.symbols:
            if self.newest.get(symbol) != newest[symbol]:
                self.faults.append(
                    f"{symbol} ended at {self.newest.get(symbol)}, not {newest[symbol]}"
                )

    def _prices(self, ticks: list[dict[str, Any]], first: bool) -> None:
        if first and sorted(tick["symbol"] for tick in ticks) != sorted(self.symbols):
            self.faults.append("the snapshot is not of the viewer's symbols")
        for tick in ticks:
            symbol, v = tick["symbol"], tick["v"]
            if symbol not in self.symbols:
                self.faults.append(f"{symbol} was not asked for")
            if v is None:
                continue
            self.updates += 1
            before = self.newest.get(symbol)
            if before is not None and v <= before:
                self.faults.append(f"{symbol} went from {before} to {v}")
            self.newest[symbol] = v
