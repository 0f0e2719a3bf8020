"""Pauses that double, up to a longest one, and are never the same for two."""

import pytest

from brokerage.runtime.backoff import Backoff


@pytest.mark.parametrize(("failures", "longest"), [(1, 0.5), (2, 1.0), (3, 2.0), (999, 4.0)])
def test_a_pause_is_drawn_from_the_upper_half_of_one_that_doubles(
    failures: int, longest: float
) -> None:
    pauses = [Backoff(0.5, 4.0).pause_seconds(failures) for _ in range(50)]

    assert all(longest / 2 <= pause <= longest for pause in pauses)
    assert len(set(pauses)) > 1
