"""What members are told of halts and sessions, and when."""

from datetime import UTC, datetime

from exchange.inputs import Halt
from exchange.sessions import TradingBoard
from tests.unit.exchange.market_of import Exchange

MINUTE_MS = 60_000
OPENS_MS = int(datetime(2024, 7, 1, 13, 30, tzinfo=UTC).timestamp()) * 1000
CLOSES_MS = int(datetime(2024, 7, 1, 20, 0, tzinfo=UTC).timestamp()) * 1000


def test_regular_sessions_are_told_at_the_minute_they_open_and_close_and_only_then() -> None:
    board = TradingBoard(Exchange().engine.floor, "regular", OPENS_MS - MINUTE_MS)
    first = board.status
    told = [
        status
        for at_ms in range(OPENS_MS - MINUTE_MS, CLOSES_MS + MINUTE_MS, MINUTE_MS // 2)
        if (status := board.news(at_ms)) is not None
    ]

    assert (first.state, first.next_open_ms, first.next_close_ms) == ("closed", OPENS_MS, CLOSES_MS)
    assert [(one.state, one.at_ms) for one in told] == [("open", OPENS_MS), ("closed", CLOSES_MS)]
    assert [one.version for one in told] == [2, 3]


def test_halted_symbol_is_told_once_and_so_is_its_return() -> None:
    exchange = Exchange()
    board = TradingBoard(exchange.engine.floor, "off", OPENS_MS)

    exchange.apply(Halt("REC", halted=True))
    board.touch()
    halted, nothing = board.news(OPENS_MS + 1), board.news(OPENS_MS + 2)
    exchange.apply(Halt("REC", halted=False))
    board.touch()
    resumed = board.news(OPENS_MS + 3)

    assert (halted and halted.halted, nothing, resumed and resumed.halted) == (["REC"], None, [])


def test_market_closed_by_hand_says_that_nobody_knows_when_it_opens() -> None:
    board = TradingBoard(Exchange().engine.floor, "off", OPENS_MS)
    around_the_clock = board.is_open(CLOSES_MS + 1)

    board.switch("closed")
    status = board.news(OPENS_MS + 1)

    assert around_the_clock
    assert status is not None
    assert (status.state, status.next_open_ms, status.next_close_ms) == ("closed", None, None)
    assert not board.is_open(OPENS_MS + 1)
