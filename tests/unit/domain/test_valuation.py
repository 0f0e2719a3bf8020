"""Entries and closes make a value: exact cents, the last close carried, never a guess."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from hypothesis import assume, given
from hypothesis import strategies as st

from brokerage.domain.timeline import Timeline, Window, day_begin, timeline
from brokerage.domain.valuation import Flow, History, value_history
from tests.support.history import Entry, OldBar, Past

NOW = datetime(2026, 3, 11, 12, tzinfo=UTC)
OPENED = NOW - timedelta(minutes=22)
"""Points: the opening at 38, then 40, 45, 50, 55, and now."""


def at(minute: int) -> datetime:
    return NOW - timedelta(minutes=60 - minute)


def flows_of(past: Past, line: Timeline) -> list[Flow]:
    """The entries as the database adds them up, one flow each."""
    return [
        Flow(
            entry.asset,
            min(bisect_left(line.points, entry.at), len(line.points) - 1),
            entry.amount,
            given=0 if entry.by_order else entry.amount,
            costed=0 if entry.cost_cents is None else entry.amount,
            cost_cents=entry.cost_cents or 0,
            uncosted=not entry.by_order and entry.asset != "USD" and entry.cost_cents is None,
        )
        for entry in past.entries
    ]


def closes_of(past: Past, line: Timeline) -> Mapping[str, Sequence[int | None]]:
    """The closes as the database finds them."""
    bars = sorted((*past.days, *past.minutes), key=lambda bar: bar.start)
    closes: dict[str, list[int | None]] = {}
    for symbol in past.symbols():
        begin, found = datetime.min.replace(tzinfo=UTC), []
        for until in line.closed_until():
            own = [bar for bar in bars if bar.symbol == symbol and begin <= bar.start < until]
            found.append(own[-1].close_cents if own else None)
            begin = until
        closes[symbol] = found
    return closes


def history(
    past: Past, live: Mapping[str, int] | None = None, window: Window = Window.ALL
) -> History:
    line = timeline(window, past.opened_at, NOW, len(past.symbols()))
    return value_history(line, flows_of(past, line), closes_of(past, line), live or {})


def opening(cash: int, **shares: tuple[int, int | None]) -> list[Entry]:
    """The entries of an opening; shares with their cost."""
    return [
        Entry(OPENED, "USD", cash, by_order=False),
        *(Entry(OPENED, name, held, False, cost) for name, (held, cost) in shares.items()),
    ]


def values(told: History) -> list[int | None]:
    return [point.value_cents for point in told.points]


def profits(told: History) -> list[int | None]:
    return [point.profit_cents for point in told.points]


def test_opening_itself_is_no_profit() -> None:
    entries = opening(1_000, IBM=(10, 2_000))
    # The last close before the opening is older than the price it was posted at.
    told = history(Past(OPENED, entries, [OldBar("IBM", at(36), 190), OldBar("IBM", at(41), 210)]))

    assert values(told) == [3_000, 2_900, 3_100, 3_100, 3_100, 3_100]
    assert profits(told) == [0, -100, 100, 100, 100, 100]


def test_without_a_close_shares_are_worth_their_cost() -> None:
    told = history(Past(OPENED, opening(1_000, IBM=(3, 1_000))))

    assert values(told) == [2_000] * 6
    assert profits(told) == [0] * 6


def test_cost_of_part_of_the_shares_is_rounded_down() -> None:
    sold = [Entry(at(42), "IBM", -1), Entry(at(42), "USD", 333)]

    told = history(Past(OPENED, [*opening(0, IBM=(3, 1_000)), *sold]))

    assert values(told) == [1_000, 1_000, 333 + 666, 999, 999, 999]


def test_price_that_nobody_knows_is_said_and_not_guessed() -> None:
    bought = [Entry(at(42), "NEW", 2), Entry(at(42), "USD", -200)]
    bars = [OldBar("NEW", at(47), 105)]

    told = history(Past(OPENED, [*opening(1_000), *bought], bars))

    assert values(told) == [1_000, 1_000, None, 1_010, 1_010, 1_010]
    assert profits(told) == [0, 0, None, 10, 10, 10]
    assert [point.unpriced for point in told.points] == [(), (), ("NEW",), (), (), ()]
    assert [point.cash_cents for point in told.points] == [1_000, 1_000, 800, 800, 800, 800]


def test_cost_that_nobody_knows_leaves_the_value_and_takes_the_profit() -> None:
    bars = [OldBar("IBM", at(30), 100)]

    told = history(Past(OPENED, opening(1_000, IBM=(1, None)), bars))

    assert values(told) == [1_100] * 6
    assert profits(told) == [None] * 6
    assert told.uncosted == ["IBM"]


def test_last_point_is_at_the_live_price() -> None:
    bars = [OldBar("IBM", at(41), 210)]

    told = history(Past(OPENED, opening(0, IBM=(1, 200)), bars), live={"IBM": 250, "META": 1})

    assert values(told) == [200, 200, 210, 210, 210, 250]


def test_minute_counts_when_it_is_over_and_at_once_for_now() -> None:
    bars = [OldBar("IBM", at(44), 210), OldBar("IBM", at(45), 220), OldBar("IBM", at(59), 230)]

    told = history(Past(OPENED, opening(0, IBM=(1, 200)), bars))

    assert values(told) == [200, 200, 210, 220, 220, 230]


def test_adjustment_is_put_in_and_a_bust_is_not() -> None:
    entries = [
        *opening(1_000),
        Entry(at(41), "USD", 500, by_order=False),
        Entry(at(46), "USD", -100),
        Entry(at(46), "IBM", 1),
        # The fill is taken back.
        Entry(at(51), "USD", 100),
        Entry(at(51), "IBM", -1),
        Entry(at(56), "USD", -200, by_order=False),
    ]

    told = history(Past(OPENED, entries, [OldBar("IBM", at(45), 130)]))

    assert values(told) == [1_000, 1_000, 1_500, 1_530, 1_500, 1_300]
    assert profits(told) == [0, 0, 0, 30, 0, 0]


def test_what_was_sold_needs_no_price() -> None:
    gone = [Entry(OPENED, "OLD", 5), Entry(OPENED, "OLD", -5)]

    told = history(Past(OPENED, [*opening(1_000), *gone]))

    assert values(told) == [1_000] * 6


SYMBOLS = st.sampled_from(["IBM", "SPY", "NEW"])
AMOUNTS = st.integers(min_value=-50, max_value=50)
PRICES = st.integers(min_value=1, max_value=10_000)


@st.composite
def pasts(draw: st.DrawFn, longest: timedelta, bar: timedelta) -> Past:
    """Some trading with gaps, busts, adjustments and unknown costs, and bars of one length."""
    age = draw(st.timedeltas(timedelta(seconds=1), longest))
    opened_at = NOW - age
    times = st.floats(0, 1).map(lambda share: opened_at + age * share)
    given = st.builds(
        Entry,
        at=st.just(opened_at),
        asset=SYMBOLS,
        amount=st.integers(min_value=1, max_value=50),
        by_order=st.just(False),
        cost_cents=st.none() | st.integers(min_value=1, max_value=100_000),
    )
    cash = st.builds(Entry, at=times, asset=st.just("USD"), amount=AMOUNTS, by_order=st.booleans())
    traded = st.builds(Entry, at=times, asset=SYMBOLS, amount=AMOUNTS)
    entries = [
        entry for kind in (given, cash, traded) for entry in draw(st.lists(kind, max_size=8))
    ]
    ago = st.integers(min_value=0, max_value=2 * (longest // bar))
    spans = st.lists(st.tuples(SYMBOLS, ago, PRICES), max_size=40, unique_by=lambda span: span[:2])
    begin = NOW if bar < timedelta(days=1) else day_begin(NOW) + timedelta(hours=12)
    bars = []
    for symbol, number, price in draw(spans):
        start = begin - number * bar
        # By the date: where the clocks change, a day is not 24 hours.
        bars.append(OldBar(symbol, start if begin == NOW else day_begin(start), price))
    return Past(opened_at, entries, *((bars, ()) if begin == NOW else ((), bars)))


MINUTE_PASTS = st.sampled_from([timedelta(minutes=20), timedelta(hours=9), timedelta(days=60)])
DAY_PASTS = st.sampled_from([timedelta(days=367), timedelta(days=3_000)])


@given(
    MINUTE_PASTS.flatmap(lambda longest: pasts(longest, timedelta(minutes=1))),
    st.sampled_from([Window.DAY, Window.WEEK, Window.MONTH, Window.ALL]),
    st.dictionaries(SYMBOLS, PRICES),
)
def test_value_at_any_point_is_what_plain_summing_says(
    past: Past, window: Window, live: dict[str, int]
) -> None:
    told = history(past, live, window)

    assert told.points == [
        *(past.value_at(point.at) for point in told.points[:-1]),
        past.value_at(NOW, live),
    ]


@given(
    DAY_PASTS.flatmap(lambda longest: pasts(longest, timedelta(days=1))),
    st.sampled_from([Window.YEAR, Window.ALL]),
    st.dictionaries(SYMBOLS, PRICES),
)
def test_value_at_midnight_is_what_plain_summing_of_days_says(
    past: Past, window: Window, live: dict[str, int]
) -> None:
    assume(timeline(window, past.opened_at, NOW, symbols=3).step.is_daily)

    told = history(past, live, window)

    assert told.points == [
        *(past.value_at(point.at) for point in told.points[:-1]),
        past.value_at(NOW, live),
    ]
