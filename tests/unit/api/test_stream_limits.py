from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from api.errors import ProblemError
from api.stream_limits import StreamLimits


class Clock:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def limits(clock: Clock, **limit: int) -> StreamLimits:
    usual = {"streams_max": 1_000, "streams_per_user_max": 10, "openings_per_second_max": 1_000}
    return StreamLimits(**(usual | limit), now=clock)


@contextmanager
def stream(of: StreamLimits, user_id: str) -> Iterator[None]:
    of.enter(user_id)
    try:
        yield
    finally:
        of.leave(user_id)


def refusal(of: StreamLimits, user_id: str) -> str:
    with pytest.raises(ProblemError) as refused:
        of.enter(user_id)
    assert 2 <= (refused.value.retry_after_seconds or 0) <= 10
    return refused.value.code


def test_user_has_so_many_streams_and_others_have_theirs() -> None:
    tested = limits(Clock(), streams_per_user_max=2)
    with ExitStack() as streams:
        for _ in range(2):
            streams.enter_context(stream(tested, "alice"))

        assert refusal(tested, "alice") == "too-many-streams"
        streams.enter_context(stream(tested, "bob"))

    with stream(tested, "alice"):
        pass


def test_node_has_so_many_streams_whoever_they_are_for() -> None:
    tested = limits(Clock(), streams_max=2)
    with stream(tested, "alice"), stream(tested, "bob"):
        assert refusal(tested, "carol") == "node-full"

    with stream(tested, "carol"):
        pass


def test_crowd_is_let_in_at_a_bounded_rate() -> None:
    clock = Clock()
    tested = limits(clock, openings_per_second_max=4)
    for _ in range(4):
        with stream(tested, "alice"):
            pass
    assert refusal(tested, "alice") == "too-many-openings"

    clock.seconds += 0.5
    for _ in range(2):
        with stream(tested, "alice"):
            pass
    assert refusal(tested, "alice") == "too-many-openings"

    clock.seconds += 60
    for _ in range(4):
        with stream(tested, "alice"):
            pass
    assert refusal(tested, "alice") == "too-many-openings"


def test_what_is_refused_takes_no_place() -> None:
    tested = limits(Clock(), streams_per_user_max=1)
    with stream(tested, "alice"):
        for _ in range(3):
            assert refusal(tested, "alice") == "too-many-streams"

    with stream(tested, "alice"):
        pass
