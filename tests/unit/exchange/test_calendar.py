"""The trading day by the wall clock of New York."""

from datetime import UTC, datetime, time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.calendar import in_session, last_day_end_ms, next_close_ms, next_open_ms


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("now", "end"),
    [
        ("2024-07-01T20:00:00", "2024-07-01T20:00:00"),  # summer: 16:00 is 20:00 UTC
        ("2024-07-01T19:59:59", "2024-06-30T20:00:00"),
        ("2024-01-03T02:00:00", "2024-01-02T21:00:00"),  # winter: 21:00 UTC, the day before there
        ("2024-03-10T20:30:00", "2024-03-10T20:00:00"),  # the day the clocks change
    ],
)
def test_day_ends_at_four_in_the_afternoon_of_new_york(now: str, end: str) -> None:
    assert last_day_end_ms(ms(now), time(16, 0)) == ms(end)


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2024-07-01T13:30:00", True),
        ("2024-07-01T13:29:59", False),
        ("2024-07-01T20:00:00", False),
        ("2024-07-06T15:00:00", False),
    ],
)
def test_session_is_half_past_nine_to_four_on_weekdays(now: str, expected: bool) -> None:
    assert in_session(ms(now)) is expected


@pytest.mark.parametrize(
    ("now", "opens", "closes"),
    [
        ("2024-07-01T13:29:59.999", "2024-07-01T13:30:00", "2024-07-01T20:00:00"),
        ("2024-07-01T13:30:00", "2024-07-02T13:30:00", "2024-07-01T20:00:00"),
        ("2024-07-05T20:00:00", "2024-07-08T13:30:00", "2024-07-08T20:00:00"),  # over a weekend
        ("2024-03-08T22:00:00", "2024-03-11T13:30:00", "2024-03-11T20:00:00"),  # and a clock change
    ],
)
def test_next_session_is_on_the_next_weekday_by_the_clock_of_new_york(
    now: str, opens: str, closes: str
) -> None:
    assert next_open_ms(ms(now)) == ms(opens)
    assert next_close_ms(ms(now)) == ms(closes)


@given(st.integers(0, 2_500_000_000_000))
def test_session_changes_at_the_next_open_or_close_and_never_before(now_ms: int) -> None:
    is_open = in_session(now_ms)
    changes_ms = next_close_ms(now_ms) if is_open else next_open_ms(now_ms)

    assert changes_ms == min(next_open_ms(now_ms), next_close_ms(now_ms))
    assert now_ms < changes_ms
    assert in_session(changes_ms - 1) is is_open
    assert in_session(changes_ms) is not is_open
