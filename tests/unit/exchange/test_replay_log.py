"""Trades for readers that come back."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from exchange.protocol import TRADE_REPLAY_SECONDS, Trade
from exchange.replay_log import ReplayLog


def trades(first: int, count: int) -> list[Trade]:
    return [Trade(seq, "AAPL", 100, 1, 0) for seq in range(first, first + count)]


def seqs(frames: list[bytes]) -> list[int]:
    return [one.seq for frame in frames for one in msgspec.json.decode(frame, type=list[Trade])]


@given(st.lists(st.integers(1, 5), min_size=1, max_size=8), st.data())
def test_every_trade_after_the_readers_last_is_replayed_once(
    sizes: list[int], data: st.DataObject
) -> None:
    log = ReplayLog(10, bytes_max=10**9)
    for size in sizes:
        log.add(trades(log.last_seq + 1, size), at_ms=0)
    after = data.draw(st.integers(10, log.last_seq))

    assert log.reaches(after)
    replayed: list[int] = []
    seq = after
    while True:
        frames, seq = log.frames_after(seq, 2)
        if not frames:
            break
        replayed += seqs(frames)

    assert replayed == list(range(after + 1, 11 + sum(sizes)))


def test_trades_are_kept_for_ten_minutes_and_not_much_longer() -> None:
    log = ReplayLog(0, bytes_max=10**9)
    log.add(trades(1, 1), at_ms=0)

    log.add(trades(2, 1), at_ms=TRADE_REPLAY_SECONDS * 1000)
    assert log.reaches(0)
    log.add(trades(3, 1), at_ms=(TRADE_REPLAY_SECONDS + 60) * 1000)

    assert not log.reaches(0)
    assert log.reaches(1)


def test_reader_from_the_future_or_from_before_the_log_is_not_reached() -> None:
    log = ReplayLog(10, bytes_max=10**9)

    assert [log.reaches(seq) for seq in (9, 10, 11)] == [False, True, False]


def test_log_stays_within_its_bytes() -> None:
    log = ReplayLog(0, bytes_max=500)

    for seq in range(1, 50):
        log.add(trades(seq, 1), at_ms=0)

    assert not log.reaches(0)
    assert log.reaches(48)
