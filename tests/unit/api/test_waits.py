"""Who may wait at a node, and who is told to come back."""

from contextlib import ExitStack

import pytest

from api.errors import ProblemError
from api.waits import WAITS_MAX, WAITS_PER_USER_MAX, Waits


def waiting(waits: Waits, user_id: str, count: int, until: ExitStack) -> None:
    """Let so many requests of a user wait until the stack ends."""
    for _ in range(count):
        until.enter_context(waits.one_more(user_id))


def test_a_user_waits_so_often_and_not_once_more() -> None:
    waits = Waits()
    with ExitStack() as until:
        waiting(waits, "alice", WAITS_PER_USER_MAX, until)

        with pytest.raises(ProblemError, match="overloaded"):
            waiting(waits, "alice", 1, until)
        waiting(waits, "bob", 1, until)

    with ExitStack() as until:
        waiting(waits, "alice", WAITS_PER_USER_MAX, until)


def test_a_node_lets_so_many_wait_in_all() -> None:
    waits = Waits()
    with ExitStack() as until:
        for number in range(WAITS_MAX // WAITS_PER_USER_MAX):
            waiting(waits, f"user-{number}", WAITS_PER_USER_MAX, until)

        with pytest.raises(ProblemError, match="overloaded"):
            waiting(waits, "one more", 1, until)


def test_a_wait_that_failed_counts_no_more() -> None:
    waits = Waits()
    for _ in range(WAITS_PER_USER_MAX + 1):
        with pytest.raises(RuntimeError), waits.one_more("alice"):
            raise RuntimeError
