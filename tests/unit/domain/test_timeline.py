"""The points at which an account is valued: close enough to plot, few enough to compute."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokerage.domain.timeline import (
    LOOKUPS_MAX,
    POINTS_MAX,
    SPANS,
    STEPS,
    Timeline,
    Window,
    timeline,
)

NOW = datetime(2026, 3, 11, 15, 33, 12, 345, tzinfo=UTC)
"""A Wednesday; three days before it, clocks in New York went forward."""
OLD = datetime(2019, 5, 6, 14, 1, 2, tzinfo=UTC)
TIMES = st.datetimes(
    min_value=datetime(2016, 1, 1),  # noqa: DTZ001 - the strategy wants none
    max_value=datetime(2036, 1, 1),  # noqa: DTZ001 - the strategy wants none
    timezones=st.just(UTC),
)


def in_new_york(at: datetime) -> str:
    return at.astimezone(ZoneInfo("America/New_York")).strftime("%a %H:%M")


@pytest.mark.parametrize(
    ("window", "step", "points", "first"),
    [
        ("1d", "5m", 290, datetime(2026, 3, 10, 15, 30, tzinfo=UTC)),
        ("1w", "1h", 170, datetime(2026, 3, 4, 15, tzinfo=UTC)),
        ("1m", "4h", 182, datetime(2026, 2, 9, 12, tzinfo=UTC)),
        ("1y", "1d", 367, datetime(2025, 3, 11, 4, tzinfo=UTC)),
        ("all", "7d", 359, OLD),
    ],
)
def test_old_account_has_the_steps_of_the_window(
    window: str, step: str, points: int, first: datetime
) -> None:
    line = timeline(Window(window), OLD, NOW, symbols=5)

    assert (line.step.name, len(line.points)) == (step, points)
    assert (line.points[0], line.points[-1]) == (first, NOW)
    assert line.from_opening is (window == "all")


@pytest.mark.parametrize("window", Window)
def test_young_account_begins_with_its_opening_in_close_steps(window: Window) -> None:
    opened_at = NOW - timedelta(minutes=13)

    line = timeline(window, opened_at, NOW, symbols=5)

    assert line.points == (
        opened_at,
        NOW.replace(minute=25, second=0, microsecond=0),
        NOW.replace(minute=30, second=0, microsecond=0),
        NOW,
    )
    assert line.from_opening


def test_account_opened_this_instant_is_one_point() -> None:
    assert timeline(Window.ALL, NOW, NOW, symbols=0).points == (NOW,)
    # Its clock may be ahead of ours.
    ahead = NOW + timedelta(seconds=1)
    assert timeline(Window.DAY, ahead, NOW, symbols=0).points == (ahead,)


def test_days_begin_at_midnight_in_new_york_and_weeks_on_monday() -> None:
    days = timeline(Window.YEAR, OLD, NOW, symbols=1).points[:-1]
    weeks = timeline(Window.ALL, OLD, NOW, symbols=1).points[1:-1]

    assert {in_new_york(at)[4:] for at in days} == {"00:00"}
    assert {at.hour for at in days} == {4, 5}
    assert {in_new_york(at) for at in weeks} == {"Mon 00:00"}


def test_who_held_thousands_of_symbols_gets_fewer_points() -> None:
    few, many = (timeline(Window.DAY, OLD, NOW, symbols) for symbols in (100, 2_000))

    assert (len(few.points), many.step.name) == (290, "1h")
    assert len(many.points) * 2_000 <= LOOKUPS_MAX


def test_bars_count_from_the_moment_they_are_over() -> None:
    opened_at = datetime(2026, 3, 11, 15, 20, 30, tzinfo=UTC)
    minutes = timeline(Window.ALL, opened_at, NOW, symbols=1)
    days = timeline(Window.YEAR, OLD, NOW, symbols=1)

    assert minutes.closed_until() == [
        datetime(2026, 3, 11, 15, 20, tzinfo=UTC),
        datetime(2026, 3, 11, 15, 25, tzinfo=UTC),
        datetime(2026, 3, 11, 15, 30, tzinfo=UTC),
        NOW,
    ]
    assert days.closed_until() == list(days.points)
    opening = timeline(Window.ALL, OLD, NOW, symbols=1)
    assert opening.closed_until()[0] == datetime(2019, 5, 6, 4, tzinfo=UTC)


@given(st.sampled_from(Window), TIMES, TIMES, st.integers(min_value=0, max_value=500))
def test_points_rise_within_the_window_and_are_never_too_many(
    window: Window, one: datetime, other: datetime, symbols: int
) -> None:
    opened_at, now = sorted((one, other))

    line = timeline(window, opened_at, now, symbols)

    assert list(line.points) == sorted(set(line.points))
    assert line.points[0] >= opened_at
    assert line.from_opening is (line.points[0] == opened_at)
    assert line.points[-1] == now
    assert len(line.points) <= POINTS_MAX
    assert len(line.points) * symbols <= LOOKUPS_MAX
    assert covers(line, window, opened_at, now)
    until = line.closed_until()
    assert until == sorted(until)
    assert all(end <= at for end, at in zip(until, line.points, strict=True))


def covers(line: Timeline, window: Window, opened_at: datetime, now: datetime) -> bool:
    """True if the window has no part without a point."""
    span = SPANS.get(window)
    begin = opened_at if span is None else max(opened_at, now - span)
    hour = timedelta(hours=1)
    gaps = zip(line.points, line.points[1:], strict=False)
    return line.points[0] <= begin and all(b - a <= line.step.length + hour for a, b in gaps)


def test_minutes_reach_as_far_back_as_any_step_that_needs_them() -> None:
    assert all(step.is_daily or step.length * POINTS_MAX < timedelta(days=90) for step in STEPS)
