from datetime import UTC, datetime

import pytest

from client.retry import Backoff, parse_retry_after

NOW = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)


def test_delays_double_up_to_their_maximum_and_stay_in_their_upper_half() -> None:
    least = Backoff(first_seconds=0.25, max_seconds=4.0, chance=lambda: 0.0)
    most = Backoff(first_seconds=0.25, max_seconds=4.0, chance=lambda: 1.0)

    assert [least.delay_seconds(n) for n in (1, 2, 5, 6, 500)] == [0.125, 0.25, 2.0, 2.0, 2.0]
    assert [most.delay_seconds(n) for n in (1, 2, 5, 6, 500)] == [0.25, 0.5, 4.0, 4.0, 4.0]


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("3", 3.0),
        ("Mon, 02 Mar 2026 14:30:05 GMT", 5.0),
        ("Mon, 02 Mar 2026 14:29:00 GMT", 0.0),
        ("soon", None),
        ("-1", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    assert parse_retry_after(header, NOW) == seconds
