"""What answers say of how many orders a user may still place."""

import pytest

from api.order_rates import USERS_REMEMBERED_MAX, OrderRates
from brokerage.storage.admission import OrderRate


class Clock:
    """A time that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 1_000_000.1

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def told(rates: OrderRates, user_id: str = "alice") -> tuple[int, ...]:
    """Limit, remaining and reset of the headers."""
    headers = rates.headers(user_id)
    assert [name for name, _ in headers] == [
        b"ratelimit-limit",
        b"ratelimit-remaining",
        b"ratelimit-reset",
    ]
    return tuple(int(value) for _, value in headers)


def test_nothing_is_told_before_anything_is_known(clock: Clock) -> None:
    assert OrderRates(clock).headers("alice") == []


def test_who_placed_nothing_here_is_told_everybodys_limit(clock: Clock) -> None:
    rates = OrderRates(clock)
    rates.learn_everybodys(OrderRate(20, 0.1))
    rates.learn("bob", OrderRate(20, 0.1, 0.1))

    assert told(rates) == (20, 20, 0)


def test_what_is_missing_comes_back_as_time_passes(clock: Clock) -> None:
    rates = OrderRates(clock)
    rates.learn("alice", OrderRate(20, 0.1, 2.0))
    seen = [told(rates)]
    for passed_seconds in (0.09, 0.02, 1.79, 0.1, 100.0):
        clock.now += passed_seconds
        seen.append(told(rates))

    assert seen == [
        (20, 0, 2),
        (20, 0, 2),
        (20, 1, 2),
        (20, 19, 1),
        (20, 20, 0),
        (20, 20, 0),
    ]


def test_newest_claim_counts(clock: Clock) -> None:
    rates = OrderRates(clock)
    rates.learn("alice", OrderRate(20, 0.1, 0.1))
    rates.learn("alice", OrderRate(50, 0.1, 0.3))

    assert told(rates) == (50, 47, 1)


def test_user_who_may_place_nothing_is_told_so(clock: Clock) -> None:
    rates = OrderRates(clock)
    rates.learn("alice", OrderRate(0, 3600.0))

    assert told(rates) == (0, 0, 0)


def test_a_node_remembers_so_many_users(clock: Clock) -> None:
    rates = OrderRates(clock)
    for number in range(USERS_REMEMBERED_MAX):
        rates.learn(f"user-{number}", OrderRate(20, 0.1, 2.0))
    rates.learn("user-0", OrderRate(20, 0.1, 2.0))

    rates.learn("one more", OrderRate(20, 0.1, 2.0))

    assert rates.headers("user-1") == []
    assert told(rates, "user-0") == told(rates, "one more") == (20, 0, 2)
