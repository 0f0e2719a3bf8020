"""Bars lose nothing of the trades they are made of, and a day is New York's."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokerage.domain.bars import Bar, BarInterval, span_ms

NEW_YORK = ZoneInfo("America/New_York")
TRADES = st.lists(st.tuples(st.integers(1, 10_000_000), st.integers(1, 1_000_000)), min_size=1)
TIMES_MS = st.integers(0, 4_102_444_800_000)


def bar_of(trades: list[tuple[int, int]]) -> Bar:
    """The bar of these (price, shares)."""
    first, *others = trades
    bar = Bar.of_trade(*first)
    for trade in others:
        bar.add(*trade)
    return bar


def ms(*parts: int, zone: ZoneInfo = NEW_YORK) -> int:
    """A wall-clock time, in New York unless said otherwise."""
    return int(datetime(*parts, tzinfo=zone).timestamp() * 1000)  # type: ignore[arg-type, misc]


@given(TRADES)
def test_bar_is_first_last_extremes_and_sums_of_its_trades(trades: list[tuple[int, int]]) -> None:
    prices = [price for price, _ in trades]

    assert bar_of(trades) == Bar(
        open_cents=prices[0],
        high_cents=max(prices),
        low_cents=min(prices),
        close_cents=prices[-1],
        volume=sum(shares for _, shares in trades),
        notional_cents=sum(price * shares for price, shares in trades),
        trades=len(trades),
    )


@given(st.sampled_from(BarInterval), TIMES_MS)
def test_every_moment_lies_in_one_span_and_spans_touch(interval: BarInterval, at_ms: int) -> None:
    start_ms, end_ms = span_ms(interval, at_ms)

    assert start_ms <= at_ms < end_ms
    assert span_ms(interval, start_ms) == span_ms(interval, end_ms - 1) == (start_ms, end_ms)
    assert span_ms(interval, end_ms)[0] == end_ms


@given(TIMES_MS)
def test_longer_bars_are_made_of_whole_shorter_ones(at_ms: int) -> None:
    second, minute, day = (span_ms(interval, at_ms) for interval in BarInterval)

    assert day[0] <= minute[0] <= second[0]
    assert second[1] <= minute[1] <= day[1]


@given(TIMES_MS)
def test_day_bar_is_the_calendar_day_of_new_york(at_ms: int) -> None:
    start_ms, _ = span_ms(BarInterval.DAY, at_ms)

    start = datetime.fromtimestamp(start_ms / 1000, NEW_YORK)
    moment = datetime.fromtimestamp(at_ms // 1000, UTC).astimezone(NEW_YORK)
    assert (start.hour, start.minute, start.second) == (0, 0, 0)
    assert start.date() == moment.date()


@pytest.mark.parametrize(
    ("date", "hours"), [((2026, 3, 8), 23), ((2026, 11, 1), 25), ((2026, 7, 4), 24)]
)
def test_days_on_which_the_clocks_change_are_shorter_and_longer(
    date: tuple[int, int, int], hours: int
) -> None:
    noon_ms = ms(*date, 12)

    start_ms, end_ms = span_ms(BarInterval.DAY, noon_ms)

    assert start_ms == ms(*date)
    assert timedelta(milliseconds=end_ms - start_ms) == timedelta(hours=hours)


def test_spans_begin_where_utc_has_whole_seconds_and_minutes() -> None:
    at_ms = ms(2026, 11, 23, 7, 3, 52, 717_000, zone=ZoneInfo("UTC"))

    assert span_ms(BarInterval.SECOND, at_ms)[0] == at_ms - 717
    assert span_ms(BarInterval.MINUTE, at_ms)[0] == at_ms - 52_717
