"""Position -> prints, from the seed and the tape alone."""

from itertools import pairwise

import pytest

from exchange.market import DAY_MS, Market, Print
from exchange.tape import parse_tape
from tests.unit.exchange.market_of import SECURITIES, TAPE, market_of, tape_of


def take(market: Market, count: int) -> list[Print]:
    return [market.take() for _ in range(count)]


def test_same_seed_gives_the_same_prints_and_another_seed_others() -> None:
    assert take(market_of(seed=3), 2000) == take(market_of(seed=3), 2000)
    assert take(market_of(seed=3), 2000) != take(market_of(seed=4), 2000)


def test_day_opens_with_one_print_of_every_symbol() -> None:
    opening = take(market_of(), len(SECURITIES))

    assert [one.symbol_index for one in opening] == [0, 1, 2, 3]
    assert [one.opens_day for one in opening] == [True, False, False, False]
    assert opening[0].price_cents == TAPE.prices_cents[0]


def test_recorded_symbols_follow_the_tape_and_never_walk() -> None:
    market = market_of(tape_of([(10, "REC", 1000, 100), (20, "REC", 1010, 7)]))

    prints = take(market, 500)

    recorded = [one for one in prints[4:] if one.symbol_index == 0]
    assert [(one.price_cents, one.shares) for one in recorded] == [(1000, 100), (1010, 7)]
    assert recorded[0].recorded_at_ms == 1_381_152_600_010  # 2013-10-07 09:30:00.010 New York


def test_market_never_goes_back_in_time_and_loops_into_the_next_day() -> None:
    market = market_of(tape_of([(0, "REC", 1000, 100)]), rate=0.01)
    due = []
    days = 0

    for _ in range(1000):
        due.append(market.next_ms)
        days += market.take().opens_day

    assert all(earlier <= later for earlier, later in pairwise(due))
    assert days == 1 + due[-1] // DAY_MS == 5


def test_market_of_two_days_has_the_prints_of_two_days() -> None:
    market, endless = market_of(days_max=2), market_of()
    assert market.prints_left is not None
    assert endless.prints_left is None

    prints = take(market, market.prints_left)

    following = take(endless, len(prints) + 1)
    assert prints == following[:-1]
    assert sum(one.opens_day for one in prints) == 2
    assert following[-1].opens_day
    assert market.prints_left == 0


def test_restored_market_goes_on_where_it_was() -> None:
    market = market_of()
    take(market, 777)
    state = market.state()
    expected = take(market, 500)

    other = market_of()
    other.restore(state)

    assert other.next_ms >= 0
    assert take(other, 500) == expected


def test_walk_stays_near_its_base_price() -> None:
    market = market_of(rate=20.0)

    prices = [one.price_cents for one in take(market, 100_000) if one.symbol_index == 2]

    assert 1400 < min(prices) < max(prices) < 2800
    assert len(set(prices)) > 50


def test_tape_with_an_unlisted_symbol_is_refused() -> None:
    with pytest.raises(ValueError, match="NEW"):
        market_of(tape_of([(0, "NEW", 1, 1)]))


@pytest.mark.parametrize(
    "content", [b"", b"a,b\n1,2\n", b"time_ms,symbol,price_cents,shares\n2,A,1,1\n1,A,1,1\n"]
)
def test_file_that_is_no_tape_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"tape|order"):
        parse_tape(content, "day.csv")


def test_tape_without_a_date_does_not_say_when_it_was_recorded() -> None:
    market = market_of(tape_of([(0, "REC", 1000, 100)], name="day.csv"))

    assert take(market, 5)[4].recorded_at_ms is None
