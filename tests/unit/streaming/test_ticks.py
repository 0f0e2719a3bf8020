import json
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from brokerage.bus.tick import version
from exchange.protocol import DayStatistics, Trade
from streaming.ticks import INTERVAL_SECONDS, SymbolDay, TickBoard


def trade(seq: int, price_cents: int, symbol: str = "AAPL", shares: int = 10) -> Trade:
    return Trade(seq, symbol, price_cents, shares, 1_790_000_000_000 + seq)


def only(days: list[SymbolDay]) -> SymbolDay:
    assert len(days) == 1
    return days[0]


def test_first_change_after_quiet_is_due_at_once() -> None:
    board = TickBoard(epoch=1)

    board.trade(trade(1, 100))

    assert only(board.due(now=10.0)).price_cents == 100


def test_changes_within_the_interval_go_together_at_its_end() -> None:
    board = TickBoard(epoch=1)
    board.trade(trade(1, 100))
    board.due(now=10.0)

    board.trade(trade(2, 130))
    board.trade(trade(3, 70))
    board.trade(trade(4, 90))

    assert board.due(now=10.01) == []
    assert board.next_due() == 10.0 + INTERVAL_SECONDS
    day = only(board.due(now=10.0 + INTERVAL_SECONDS))
    assert (day.price_cents, day.high_cents, day.low_cents, day.volume) == (90, 130, 70, 40)
    assert board.next_due() is None


def test_one_busy_symbol_does_not_hold_up_another() -> None:
    board = TickBoard(epoch=1)
    board.trade(trade(1, 100))
    board.due(now=10.0)
    board.trade(trade(2, 101))

    board.trade(trade(3, 500, "META"))

    assert only(board.due(now=10.01)).symbol == "META"


def test_new_day_starts_with_its_first_trade() -> None:
    board = TickBoard(epoch=1)
    board.trade(trade(1, 100))
    board.trade(trade(2, 300))

    board.start_day()
    board.trade(trade(3, 200, shares=7))

    day = only(board.due(now=1.0))
    assert (day.open_cents, day.high_cents, day.low_cents, day.volume) == (200, 200, 200, 7)


def test_trades_go_on_from_the_snapshot() -> None:
    board = TickBoard(epoch=1)
    board.snapshot([DayStatistics("BRK.B", 9, 500, 400, 600, 300, 1_000, 1_790_000_000_000)])

    board.trade(trade(10, 610, "BRK.B", shares=5))

    day = only(board.due(now=1.0))
    assert day.subject == "prices.BRK_B"
    assert (day.open_cents, day.high_cents, day.low_cents, day.volume) == (400, 610, 300, 1_005)


def test_tick_has_the_fields_viewers_know() -> None:
    board = TickBoard(epoch=3)
    board.trade(trade(5, 52_210, "META"))

    tick = json.loads(board.encode(only(board.due(now=1.0))))

    assert tick == {
        "symbol": "META",
        "priceInCents": 52_210,
        "openInCents": 52_210,
        "highInCents": 52_210,
        "lowInCents": 52_210,
        "volume": 10,
        "at": "2026-09-21T14:13:20.005Z",
        "v": version(3, 5),
    }


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["AAPL", "META", "BRK.B"]),
            st.integers(1, 100_000),
            st.integers(0, 60),
        ),
        min_size=1,
    )
)
def test_conflation_loses_no_volume_no_extreme_and_keeps_its_distance(
    steps: list[tuple[str, int, int]],
) -> None:
    board = TickBoard(epoch=1)
    now = 0.0
    sent: dict[str, list[float]] = {}

    for seq, (symbol, price_cents, milliseconds) in enumerate(steps, start=1):
        now += milliseconds / 1000
        board.trade(trade(seq, price_cents, symbol))
        for day in board.due(now):
            sent.setdefault(day.symbol, []).append(now)
    board.due(now + INTERVAL_SECONDS)

    assert board.next_due() is None
    for day in board.days():
        own = [price for symbol, price, _ in steps if symbol == day.symbol]
        assert day.volume == 10 * len(own)
        assert (day.price_cents, day.high_cents, day.low_cents) == (own[-1], max(own), min(own))
        times = sent.get(day.symbol, [])
        assert all(b - a >= INTERVAL_SECONDS - 1e-9 for a, b in pairwise(times))
