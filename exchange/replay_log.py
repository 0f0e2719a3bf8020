"""The public trades of the last minutes, encoded as they were sent, for readers that come back."""

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from exchange.protocol import TRADE_REPLAY_SECONDS, DayStart, Trade

_decode = msgspec.json.Decoder(list[Trade | DayStart]).decode
_encode = msgspec.json.Encoder().encode


class Batch(NamedTuple):
    """One frame of trades: the numbers it spans, when it was sent, and the frame itself."""

    first_seq: int
    last_seq: int
    at_ms: int
    frame: bytes


class ReplayLog:
    """Keeps `TRADE_REPLAY_SECONDS` of frames, as long as they fit into `bytes_max`."""

    def __init__(self, seq: int, bytes_max: int) -> None:
        self._batches: deque[Batch] = deque()
        self._bytes = 0
        self._bytes_max = bytes_max
        self._dropped_seq = seq
        self.last_seq = seq

    def add(self, trades: Sequence[Trade | DayStart], at_ms: int) -> bytes:
        """Encode trades, which follow those already here, and return their frame."""
        first = trades[0]
        first_seq = first.seq if isinstance(first, Trade) else first.trade_seq + 1
        last = trades[-1]
        self.last_seq = last.seq if isinstance(last, Trade) else last.trade_seq
        frame = _encode(trades)
        self._batches.append(Batch(first_seq, self.last_seq, at_ms, frame))
        self._bytes += len(frame)
        oldest_ms = at_ms - (TRADE_REPLAY_SECONDS + 5) * 1000
        while self._batches[0].at_ms < oldest_ms or self._bytes > self._bytes_max:
            if len(self._batches) == 1:
                break
            dropped = self._batches.popleft()
            self._bytes -= len(dropped.frame)
            self._dropped_seq = dropped.last_seq
        return frame

    def reaches(self, seq: int) -> bool:
        """Whether all trades after `seq` are here."""
        return self._dropped_seq <= seq <= self.last_seq

    def frames_after(self, seq: int, batch_max: int) -> tuple[list[bytes], int]:
        """Return the next frames after `seq`, and the number of the last trade in them."""
        frames: list[bytes] = []
        for batch in self._from(seq):
            if batch.first_seq > seq:
                frames.append(batch.frame)
            else:
                later = [
                    trade
                    for trade in _decode(batch.frame)
                    if (trade.seq if isinstance(trade, Trade) else trade.trade_seq) > seq
                ]
                frames.append(_encode(later))
            seq = batch.last_seq
            if len(frames) == batch_max:
                break
        return frames, seq

    def _from(self, seq: int) -> list[Batch]:
        """Return the batches that hold anything after `seq`."""
        # Numbers only rise, so a binary search would do, but a deque is slow in its middle: readers
        # come back seldom, and mostly for the newest batches, which are at hand from the right.
        found: list[Batch] = []
        for batch in reversed(self._batches):
            if batch.last_seq <= seq:
                break
            found.append(batch)
        found.reverse()
        return found
