import json
from collections.abc import Callable
from typing import Any

import pytest

from exchange.protocol import DayStart, DayStatistics, Heartbeat, Hello, Snapshot, Trade
from tests.support.market_record import MarketRecord, TradesMissed
from tests.support.price_checker import Rule, check
from tests.support.price_recording import (
    EPOCH_SHIFT,
    Change,
    Connection,
    Recording,
    StreamEvent,
)
from tests.support.scripted_feed import OPEN

AT_MS = 1_790_000_000_123
AT = "2026-09-21T14:13:20.123Z"
CALM = [(0.0, 20.0)]


def a_market() -> MarketRecord:
    """AAPL (trades 3, 5, 6) and META (trade 4); BRK.B is listed and never trades."""
    market = MarketRecord()
    aapl = DayStatistics("AAPL", 3, 15_000, 14_900, 15_100, 14_800, 700, AT_MS)
    meta = DayStatistics("META", 4, 52_000, 52_000, 52_000, 52_000, 100, AT_MS)
    market.hear(Hello("s1", [], 0, 4, 1.0, OPEN), 0.0)
    market.hear(Snapshot(4, [aapl, meta]), 0.0)
    market.hear(Trade(5, "AAPL", 15_200, 10, AT_MS), 3.0)
    market.hear(Trade(6, "AAPL", 15_150, 10, AT_MS), 3.1)
    return market


def tick(symbol: str, v: int, *numbers: int) -> dict[str, Any]:
    names = ("priceInCents", "openInCents", "highInCents", "lowInCents", "volume")
    return {
        "symbol": symbol,
        **dict(zip(names, numbers, strict=True)),
        "at": AT,
        "v": (7 << EPOCH_SHIFT) + v,
    }


AAPL_3 = tick("AAPL", 3, 15_000, 14_900, 15_100, 14_800, 700)
AAPL_5 = tick("AAPL", 5, 15_200, 14_900, 15_200, 14_800, 710)
AAPL_6 = tick("AAPL", 6, 15_150, 14_900, 15_200, 14_800, 720)
META_4 = tick("META", 4, 52_000, 52_000, 52_000, 52_000, 100)
NO_BRK = dict.fromkeys(AAPL_3) | {"symbol": "BRK.B"}


def event(at: float, kind: str, data: object = None) -> StreamEvent:
    return StreamEvent(at, kind, json.dumps({} if data is None else data))


def hello(at: float = 1.0) -> StreamEvent:
    return event(at, "hello", {"streamId": "n1.x", "heartbeatSeconds": 15})


def next_epoch(one: dict[str, Any]) -> dict[str, Any]:
    return {**one, "v": one["v"] + (1 << EPOCH_SHIFT)}


def good() -> Recording:
    """A viewer that saw all there was to see, on two streams."""
    first = [
        hello(),
        event(1.1, "prices", [AAPL_3, META_4, NO_BRK]),
        event(3.05, "prices", [AAPL_5]),
        event(3.15, "prices", [AAPL_6]),
        event(5.0, "stale"),
        event(6.0, "live"),
        event(6.1, "prices", [next_epoch(AAPL_6)]),
    ]
    second = [
        hello(12.1),
        event(12.2, "prices", [next_epoch(AAPL_6), next_epoch(META_4), NO_BRK]),
        StreamEvent(19.0, ""),
    ]
    symbols = ("AAPL", "META", "BRK.B")
    return Recording(
        "viewer",
        connections=[Connection(symbols, 1.0, first, [], 12.0), Connection(symbols, 12.1, second)],
    )


def broken_rules(recording: Recording, market: MarketRecord | None = None) -> list[Rule]:
    verdict = check(market or a_market(), [recording], CALM)
    assert {violation.viewer for violation in verdict.violations} <= {"viewer"}
    return [violation.rule for violation in verdict.violations]


def test_good_recording_breaks_nothing_and_is_really_judged() -> None:
    verdict = check(a_market(), [good(), good()], CALM)

    assert verdict.violations == []
    assert (verdict.streams, verdict.ticks) == (4, 18)
    assert verdict.epochs == {7, 8}
    # First stream: AAPL after its first and its last trade, META; second stream: both.
    assert verdict.quiets == 2 * 5


Fault = Callable[[Recording], object]


def put(stream: int, index: int, one: StreamEvent) -> Fault:
    """Put an event in: among the first stream's are 0 hello, 1 snapshot, 2 and 3 changes."""
    return lambda recording: recording.connections[stream].events.insert(index, one)


def instead(stream: int, index: int, one: StreamEvent) -> Fault:
    return lambda recording: recording.connections[stream].events.__setitem__(index, one)


def without(stream: int, index: int) -> Fault:
    return lambda recording: recording.connections[stream].events.pop(index)


def ask(*symbols: str) -> Fault:
    return lambda recording: setattr(recording.connections[0], "symbols", symbols)


@pytest.mark.parametrize(
    ("rule", "fault"),
    [
        ("readable", put(0, 2, StreamEvent(2.0, "prices", "[{]"))),
        ("readable", put(0, 2, StreamEvent(2.0, "prices", "[7]"))),
        ("readable", put(0, 2, event(2.0, "prices", [{**AAPL_3, "priceInCents": 15_000.5}]))),
        ("readable", put(0, 2, event(2.0, "prices", [{**NO_BRK, "volume": 1}]))),
        ("readable", instead(0, 0, StreamEvent(1.0, "hello", "{}"))),
        ("hello", without(0, 0)),
        ("hello", put(0, 2, hello(2.0))),
        ("hello", instead(0, 0, event(1.0, "hello", {"streamId": "", "heartbeatSeconds": 15}))),
        ("snapshot", instead(0, 1, event(1.1, "prices", [AAPL_3, META_4]))),
        ("snapshot", without(0, 1)),
        ("snapshot", instead(0, 1, event(1.1, "prices", [AAPL_3, META_4, NO_BRK, AAPL_5]))),
        ("told", put(0, 2, event(2.0, "live"))),
        ("told", put(0, 5, event(5.5, "stale"))),
        ("told", put(0, 6, event(6.05, "live"))),
        ("asked", ask("AAPL", "BRK.B")),
        ("rises", put(0, 2, event(2.0, "prices", [META_4]))),
        ("rises", put(0, 4, event(3.2, "prices", [AAPL_5]))),
        ("rises", put(0, 2, event(2.0, "prices", [NO_BRK]))),
        ("no-return", instead(1, 1, event(12.2, "prices", [AAPL_6, META_4, NO_BRK]))),
        ("no-return", instead(1, 1, event(12.2, "prices", [NO_BRK | {"symbol": "AAPL"}]))),
        ("no-old", instead(0, 6, event(6.1, "prices", [next_epoch(AAPL_5)]))),
        ("traded", instead(0, 2, event(3.05, "prices", [{**AAPL_5, "priceInCents": 15_201}]))),
        ("traded", instead(0, 2, event(3.05, "prices", [{**AAPL_5, "volume": 709}]))),
        ("traded", instead(0, 2, event(3.05, "prices", [{**AAPL_5, "highInCents": 15_100}]))),
        ("traded", instead(0, 2, event(3.05, "prices", [{**AAPL_5, "at": AT[:-2] + "4Z"}]))),
        ("traded", put(0, 6, event(6.1, "prices", [{**META_4, "v": META_4["v"] + 9}]))),
        ("traded", put(0, 6, event(6.1, "prices", [{**META_4, "v": META_4["v"] + 1}]))),
        (
            "traded",
            instead(0, 1, event(1.1, "prices", [AAPL_3, dict(NO_BRK, symbol="META"), NO_BRK])),
        ),
        ("current", without(0, 3)),
        ("current", instead(0, 3, event(4.2, "prices", [AAPL_6]))),
        ("current", instead(0, 1, event(2.5, "prices", [AAPL_3, META_4, NO_BRK]))),
    ],
)
def test_each_rule_fails_on_a_recording_that_breaks_it(rule: Rule, fault: Fault) -> None:
    recording = good()

    fault(recording)

    assert rule in broken_rules(recording)


def quiet_stream(*comments_at: float, closed_at: float | None = None) -> Recording:
    events = [hello(1.0), event(1.1, "prices", [META_4])]
    events += [StreamEvent(at, "") for at in comments_at]
    return Recording("viewer", connections=[Connection(("META",), 1.0, events, [], closed_at)])


def test_quiet_stream_must_beat() -> None:
    assert broken_rules(quiet_stream(16.1, 31.1, closed_at=46.0)) == []
    assert broken_rules(quiet_stream(31.1)) == ["beats"]
    assert broken_rules(quiet_stream(16.1, closed_at=44.0)) == ["beats"]


def test_stream_whose_viewer_cannot_hear_comments_or_did_not_read_may_be_silent() -> None:
    deaf, asleep = quiet_stream(31.1), quiet_stream(31.1)
    deaf.hears_comments = False
    asleep.pauses = [(5.0, 25.0)]

    assert broken_rules(deaf) == []
    assert broken_rules(asleep) == []


def test_last_price_is_due_a_second_after_the_viewer_reads_again() -> None:
    slow, too_slow = good(), good()
    for recording, came_at in ((slow, 8.9), (too_slow, 9.1)):
        first = recording.connections[0]
        first.events = [hello(), first.events[1], event(came_at, "prices", [AAPL_6])]
        recording.pauses = [(2.9, 8.0)]

    assert broken_rules(slow) == []
    assert broken_rules(too_slow) == ["current"]


def test_price_is_not_due_while_something_stands_in_between() -> None:
    recording = good()
    first = recording.connections[0]
    first.events = [hello(), first.events[1], event(9.1, "prices", [AAPL_6])]

    assert broken_rules(recording) == ["current"]
    assert check(a_market(), [recording], [(0.0, 2.9), (8.5, 12.0)]).violations == []


def changed(*events: StreamEvent) -> Recording:
    """AAPL alone, then both from 4.1 to 7.0 at the latest, then AAPL alone again, then both."""
    changes = [
        Change(4.0, 4.1, ("AAPL", "META")),
        Change(7.0, 7.1, ("AAPL",)),
        Change(9.0, 9.1, ("AAPL", "META")),
    ]
    before = [hello(), event(1.1, "prices", [AAPL_3]), event(3.2, "prices", [AAPL_6])]
    after = [event(9.2, "prices", [META_4])]
    stream = Connection(("AAPL",), 1.0, [*before, *events, *after], changes)
    return Recording("viewer", connections=[stream])


ADDED = event(4.05, "prices", [META_4])


def test_changed_stream_shows_what_was_added_and_again_what_was_added_again() -> None:
    assert broken_rules(changed(ADDED)) == []


@pytest.mark.parametrize(
    ("rule", "events"),
    [
        ("current", []),
        ("asked", [event(3.9, "prices", [META_4])]),
        ("asked", [ADDED, event(8.2, "prices", [next_epoch(META_4)])]),
        ("rises", [ADDED, event(7.5, "prices", [META_4]), event(8.0, "prices", [META_4])]),
        ("rises", [ADDED, event(5.0, "prices", [AAPL_6])]),
    ],
)
def test_changed_stream_keeps_the_rules(rule: Rule, events: list[StreamEvent]) -> None:
    assert rule in broken_rules(changed(*events))


def test_market_record_takes_a_replay_and_refuses_a_hole() -> None:
    market = a_market()
    with pytest.raises(TradesMissed):
        market.hear(Trade(8, "META", 1, 1, AT_MS), 4.0)
    with pytest.raises(TradesMissed):
        market.hear(Heartbeat(0, 7, 1, AT_MS), 4.0)

    for seq, price_cents in ((5, 15_200), (6, 15_150), (7, 14_000)):
        market.hear(Trade(seq, "AAPL", price_cents, 10, AT_MS), 5.0)

    moments = market.moments("AAPL")
    assert [(moment.heard_at, moment.seq) for moment in moments] == [
        (0, 3),
        (3, 5),
        (3.1, 6),
        (5, 7),
    ]
    assert market.price("AAPL", 7) == (14_000, 14_900, 15_200, 14_000, 730, AT)
    assert market.price("AAPL", 4) is None
    assert (market.last_heard_at, market.symbols) == (5.0, ["AAPL", "META"])


def test_market_record_begins_each_day_anew() -> None:
    market = a_market()

    market.hear(DayStart(6, AT_MS), 4.0)
    market.hear(Trade(7, "AAPL", 16_000, 3, AT_MS), 4.0)
    market.hear(DayStart(6, AT_MS), 4.1)
    market.hear(Trade(8, "AAPL", 15_900, 2, AT_MS), 4.2)

    assert market.price("AAPL", 6) == (15_150, 14_900, 15_200, 14_800, 720, AT)
    assert market.price("AAPL", 8) == (15_900, 16_000, 16_000, 15_900, 5, AT)


@pytest.mark.parametrize("message", [Hello("s2", [], 0, 0, 1.0, OPEN), Snapshot(9, [])])
def test_market_record_that_cannot_be_whole_is_refused(message: Hello | Snapshot) -> None:
    with pytest.raises(ValueError, match="exchange"):
        a_market().hear(message, 5.0)
