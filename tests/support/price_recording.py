"""What viewers heard, stream by stream, as it came."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import inf
from typing import Any, Final, NamedTuple

from tests.support.market_record import Price

EPOCH_SHIFT: Final = 36
"""A version is the feed's epoch, shifted by this, and the number of the trade."""


class Tick(NamedTuple):
    """A tick as a viewer got it at `at`; `v` and `price` are None if the symbol never traded."""

    at: float
    symbol: str
    v: int | None
    price: Price | None

    @property
    def seq(self) -> int:
        """The number of its trade; -1, before all others, if there was none."""
        return -1 if self.v is None else self.v & ((1 << EPOCH_SHIFT) - 1)

    @property
    def epoch(self) -> int:
        """Which run of the feed it came through; -1 if it never traded."""
        return -1 if self.v is None else self.v >> EPOCH_SHIFT

    @property
    def rank(self) -> int:
        """Its version, -1 if it has none."""
        return -1 if self.v is None else self.v


class StreamEvent(NamedTuple):
    """What came at `at`: an event with its data as it was sent, or a comment (`kind` is "")."""

    at: float
    kind: str
    data: str = ""


@dataclass(slots=True)
class Change:
    """The new whole list of a live stream, asked for at `at`.

    In force at `done_at` at the latest; infinite if that was never answered.
    """

    at: float
    done_at: float
    symbols: tuple[str, ...]


@dataclass(slots=True)
class Connection:
    """One stream, from its first byte to its end; `closed_at` is None while it is open."""

    symbols: tuple[str, ...]
    opened_at: float
    events: list[StreamEvent] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    closed_at: float | None = None

    def wanted(self, at: float) -> tuple[str, ...]:
        """The symbols it was to show then."""
        done = [change.symbols for change in self.changes if change.done_at <= at]
        return done[-1] if done else self.symbols

    def standing(self, symbol: str) -> list[tuple[float, float]]:
        """The times (from, to) in which the symbol was to be shown, one after the other."""
        times: list[tuple[float, float]] = []
        since = self.opened_at if symbol in self.symbols else None
        for change in self.changes:
            if symbol in change.symbols:
                since = change.done_at if since is None else since
            elif since is not None:
                times.append((since, change.at))
                since = None
        if since is not None:
            times.append((since, inf if self.closed_at is None else self.closed_at))
        return times


@dataclass(slots=True)
class Recording:
    """All streams of one viewer, one after the other.

    `hears_comments` is false for viewers that cannot tell (EventSource); `pauses` are the times in
    which the viewer itself read nothing.
    """

    name: str
    hears_comments: bool = True
    connections: list[Connection] = field(default_factory=list)
    pauses: list[tuple[float, float]] = field(default_factory=list)

    def stream_id(self) -> str:
        """The id of the newest stream, from its `hello`."""
        hello: dict[str, str] = json.loads(self.connections[-1].events[0].data)
        return hello["streamId"]

    def kinds(self) -> list[str]:
        """The names of the events of the newest stream, so far."""
        events = self.connections[-1].events if self.connections else []
        return [event.kind for event in events if event.kind]

    def ticks(self) -> Iterator[Tick]:
        """Every tick that was ever shown, in order."""
        for connection in self.connections:
            for event in connection.events:
                if event.kind == "prices":
                    yield from ticks_of(event)

    def is_live(self) -> bool:
        """True while a stream is open, has its snapshot, and was not told that prices are stale."""
        kinds = self.kinds()
        open_now = bool(self.connections) and self.connections[-1].closed_at is None
        told = [kind for kind in kinds if kind in ("stale", "live")]
        return open_now and "prices" in kinds and told[-1:] != ["stale"]

    def shown(self) -> dict[str, Tick]:
        """The newest tick of each symbol on the newest stream."""
        newest = Recording(self.name, connections=self.connections[-1:])
        return {tick.symbol: tick for tick in newest.ticks()}


def ticks_of(event: StreamEvent) -> list[Tick]:
    """The ticks of a `prices` event. Malformed: ValueError, KeyError, TypeError."""
    return [_tick(event.at, one) for one in json.loads(event.data)]


def _tick(at: float, one: dict[str, Any]) -> Tick:
    names = ("priceInCents", "openInCents", "highInCents", "lowInCents", "volume", "v")
    price_cents, open_cents, high_cents, low_cents, volume, v = numbers = [one[n] for n in names]
    if v is None:
        if any(value is not None for value in (*numbers, one["at"])):
            raise ValueError(f"{one} has a price without a version")
        return Tick(at, one["symbol"], None, None)
    if not all(type(number) is int for number in numbers):
        raise ValueError(f"{one} has numbers that are none")
    price = Price(price_cents, open_cents, high_cents, low_cents, volume, one["at"])
    return Tick(at, one["symbol"], v, price)
