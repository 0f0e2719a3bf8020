"""The rules that every recorded price stream keeps, whatever happened between exchange and viewer.

readable    every event is what it says it is
hello       `hello` comes first and once, with an id of the stream and its heartbeat
snapshot    the first `prices` has every symbol asked for, each once
told        `stale` and `live` take turns, `stale` first
asked       no symbol is shown that was not asked for
rises       within a stream the version of a symbol strictly rises
no-return   the next stream of the same viewer never shows an older version
no-old      a newer version never shows an older trade: the feed's epoch hides nothing
traded      every tick is exactly what the exchange had after that trade: price, open, high, low,
            volume, time; a symbol that traded is never shown as one that did not
current     within a second of quiet of a symbol the exchange's last trade of it is shown
beats       no stream is silent for longer than its heartbeat
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, Literal, NamedTuple

from tests.support.market_record import MarketRecord, Moment
from tests.support.price_recording import (
    Connection,
    Recording,
    StreamEvent,
    Tick,
    ticks_of,
)

Rule = Literal[
    "readable",
    "hello",
    "snapshot",
    "told",
    "asked",
    "rises",
    "no-return",
    "no-old",
    "traded",
    "current",
    "beats",
]
Broken = tuple[Rule, str]
Span = tuple[float, float]

QUIET_SECONDS: Final = 1.0
LEAVE_SECONDS: Final = 1.0
"""What was taken off a live stream may still be on its way for this long."""
BEAT_LATE_SECONDS: Final = 12.0
"""Less than a beat: one that is left out is missed."""


class Violation(NamedTuple):
    """A rule that a stream broke, and where."""

    rule: Rule
    viewer: str
    detail: str


@dataclass
class Verdict:
    """What was broken, and how much there was to judge: a check of nothing proves nothing.

    `quiets` counts the quiet seconds after which a symbol was looked at.
    """

    violations: list[Violation] = field(default_factory=list)
    streams: int = 0
    ticks: int = 0
    quiets: int = 0
    epochs: set[int] = field(default_factory=set)


def check(
    market: MarketRecord, recordings: Iterable[Recording], calm: Sequence[Span] = ()
) -> Verdict:
    """Judge every stream of `recordings` by what the exchange traded.

    `calm` are the times (from, to) in which nothing stood between the exchange and its viewers:
    there, and only there, the last price must be current.
    """
    verdict = Verdict()
    for recording in recordings:
        newest: dict[str, Tick] = {}
        for connection in recording.connections:
            stream = _Stream(market, recording, connection)
            broken = [*stream.order_of_events(), *stream.symbols(), *stream.versions(newest)]
            broken += [*stream.values(), *stream.beats()]
            quiets = [quiet for span in calm for quiet in stream.quiets(span)]
            broken += stream.current(quiets)
            verdict.violations += [Violation(rule, recording.name, text) for rule, text in broken]
            verdict.streams += 1
            verdict.ticks += len(stream.ticks)
            verdict.quiets += len(quiets)
            verdict.epochs |= {tick.epoch for tick in stream.ticks if tick.v is not None}
    return verdict


class Quiet(NamedTuple):
    """A symbol that did not trade after `moment` until `due_at`, when it must be shown."""

    symbol: str
    moment: Moment
    due_at: float


class _Stream:
    """One stream; each rule yields what broke it. `order_of_events` also reads the ticks."""

    def __init__(self, market: MarketRecord, recording: Recording, connection: Connection) -> None:
        self._market = market
        self._recording = recording
        self._connection = connection
        self._heartbeat_seconds = 0.0
        self.ticks: list[Tick] = []

    def order_of_events(self) -> Iterator[Broken]:
        events = [event for event in self._connection.events if event.kind]
        if events and events[0].kind != "hello":
            yield "hello", f"began with {events[0].kind}"
        live, has_snapshot = True, False
        for number, event in enumerate(events):
            try:
                match event.kind:
                    case "hello":
                        yield from self._hello(number, event)
                    case "prices":
                        ticks = ticks_of(event)
                        self.ticks += ticks
                        if not has_snapshot:
                            has_snapshot = True
                            yield from self._snapshot(event.at, ticks)
                    case "stale" | "live":
                        if live == (event.kind == "live"):
                            yield "told", f"{event.kind} was told already"
                        live = event.kind == "live"
            except (ValueError, KeyError, TypeError) as error:
                yield "readable", f"{event.kind} {event.data[:80]!r}: {error!r}"

    def _hello(self, number: int, event: StreamEvent) -> Iterator[Broken]:
        hello = json.loads(event.data)
        self._heartbeat_seconds = float(hello["heartbeatSeconds"])
        if number or not hello["streamId"] or self._heartbeat_seconds <= 0:
            yield "hello", f"event {number} is {event.data}"

    def _snapshot(self, at: float, ticks: Sequence[Tick]) -> Iterator[Broken]:
        shown = [tick.symbol for tick in ticks]
        # A list that was changed at once may be the one that the snapshot is of.
        asked = [self._connection.symbols]
        asked += [change.symbols for change in self._connection.changes if change.at <= at]
        if not any(set(symbols) <= set(shown) for symbols in asked):
            yield "snapshot", f"lacks {sorted(set(asked[0]) - set(shown))}"
        if len(shown) != len(set(shown)):
            yield "snapshot", f"has a symbol twice: {sorted(shown)}"

    def symbols(self) -> Iterator[Broken]:
        for tick in self.ticks:
            allowed = set(self._connection.wanted(tick.at - LEAVE_SECONDS))
            for change in self._connection.changes:
                if change.at <= tick.at <= change.done_at + LEAVE_SECONDS:
                    allowed |= set(change.symbols)
            if tick.symbol not in allowed:
                yield "asked", f"{tick.symbol} was not asked for"

    def versions(self, newest: dict[str, Tick]) -> Iterator[Broken]:
        """Keeps up `newest`: what the viewer has seen of each symbol so far, on any stream."""
        seen: set[str] = set()
        repeats = self._added_anew()
        for tick in self.ticks:
            before = newest.setdefault(tick.symbol, tick)
            again = tick.symbol in seen
            seen.add(tick.symbol)
            if before is tick:
                continue
            if again and tick.rank == before.rank and repeats.get(tick.symbol):
                repeats[tick.symbol] -= 1
            elif again and tick.rank <= before.rank:
                yield "rises", f"{tick.symbol}: {before.rank}, then {tick.rank}"
            elif tick.rank < before.rank:
                yield "no-return", f"{tick.symbol}: {before.rank}, then {tick.rank}"
            elif tick.seq < before.seq:
                yield "no-old", f"{tick.symbol}: trade {before.seq}, then {tick.seq}"
            newest[tick.symbol] = max(before, tick, key=lambda one: one.rank)

    def _added_anew(self) -> dict[str, int]:
        """How often each symbol was put on the list again: then its last tick comes again too."""
        counts: dict[str, int] = {}
        lists = [self._connection.symbols, *(one.symbols for one in self._connection.changes)]
        for before, after in pairwise(lists):
            for symbol in set(after) - set(before):
                counts[symbol] = counts.get(symbol, 0) + 1
        return counts

    def values(self) -> Iterator[Broken]:
        for tick in self.ticks:
            if tick.v is None:
                if self._market.last(tick.symbol, tick.at - QUIET_SECONDS) is not None:
                    yield "traded", f"{tick.symbol} is shown as if it had never traded"
                continue
            really = self._market.price(tick.symbol, tick.seq)
            if really != tick.price:
                yield "traded", f"{tick.symbol} {tick.seq}: {tick.price}, really {really}"

    def quiets(self, calm: Span) -> list[Quiet]:
        """Every symbol of this stream, whenever it was quiet for a second of `calm`."""
        lists = [self._connection.symbols, *(one.symbols for one in self._connection.changes)]
        return [
            quiet
            for symbol in sorted(set().union(*lists))
            for span in self._connection.standing(symbol)
            for part in _without(_common(span, calm), self._recording.pauses)
            for quiet in self._quiets_of(symbol, part)
        ]

    def _quiets_of(self, symbol: str, span: Span) -> Iterator[Quiet]:
        began, ended = span
        for moment, following in pairwise([*self._market.moments(symbol), None]):
            assert moment is not None
            due_at = max(moment.heard_at, began) + QUIET_SECONDS
            if due_at <= ended and (following is None or following.heard_at > due_at):
                yield Quiet(symbol, moment, due_at)

    def current(self, quiets: Iterable[Quiet]) -> Iterator[Broken]:
        by_symbol: dict[str, list[Tick]] = {}
        for tick in self.ticks:
            by_symbol.setdefault(tick.symbol, []).append(tick)
        for symbol, moment, due_at in quiets:
            ticks = by_symbol.get(symbol, [])
            shown = max((tick.seq for tick in ticks if tick.at <= due_at), default=None)
            if shown is None or shown < moment.seq:
                came = [tick.at - due_at for tick in ticks if tick.seq >= moment.seq]
                later = f"{came[0]:.3f} s too late" if came else "never"
                yield (
                    "current",
                    f"{symbol}: {shown} instead of trade {moment.seq}, which came {later}",
                )

    def beats(self) -> Iterator[Broken]:
        if not self._recording.hears_comments or not self._heartbeat_seconds:
            return
        heard = [event.at for event in self._connection.events]
        if self._connection.closed_at is not None:
            heard.append(self._connection.closed_at)
        for span in pairwise(heard):
            for began, ended in _without(span, self._recording.pauses):
                if ended - began > self._heartbeat_seconds + BEAT_LATE_SECONDS:
                    yield "beats", f"silent for {ended - began:.1f} s"


def _common(one: Span, other: Span) -> Span:
    return max(one[0], other[0]), min(one[1], other[1])


def _without(span: Span, pauses: Sequence[Span]) -> list[Span]:
    """The parts of `span` that lie in none of `pauses`, which are sorted."""
    parts: list[Span] = []
    began, ended = span
    for since, until in pauses:
        if since < ended and until > began:
            parts.append((began, since))
            began = until
    parts.append((began, ended))
    return [(since, until) for since, until in parts if since < until]
