"""The trading day by the wall clock of New York."""

from datetime import UTC, datetime, time

import pytest

from exchange.calendar import in_session, last_day_end_ms


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
