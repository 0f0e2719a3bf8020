"""Fan-out of the feed: each frame is encoded once, and queued for every reader."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from exchange.feed_faults import FeedFaults
from exchange.protocol import DayStart, Heartbeat, MemberMessage, Trade, TradingStatus
from exchange.replay_log import ReplayLog

_encode = msgspec.json.Encoder().encode
FRAME_TRADES_MAX: Final = 2_000


class FeedConnection:
    """One reader: the frames that wait for it. `failed` says why it must go."""

    def __init__(self, member: str, abort: Callable[[], None]) -> None:
        self.member: Final = member
        self.abort: Final = abort
        self.frames: deque[bytes] = deque()
        self.backlog_bytes = 0
        self.wake = asyncio.Event()
        self.failed: str | None = None

    def offer(self, frame: bytes) -> None:
        """Queue a frame."""
        self.frames.append(frame)
        self.backlog_bytes += len(frame)
        self.wake.set()

    def take(self) -> bytes | None:
        """Return the next frame, None if there is none."""
        if not self.frames:
            self.wake.clear()
            return None
        frame = self.frames.popleft()
        self.backlog_bytes -= len(frame)
        return frame

    def fail(self, reason: str) -> None:
        """Let the connection end as soon as its writer looks."""
        self.failed = reason
        self.wake.set()


class Hub:
    """All readers of the feed. `attach` one only when it has everything up to now."""

    def __init__(self, log: ReplayLog, faults: FeedFaults, *, backlog_bytes_max: int) -> None:
        self.log: Final = log
        self.faults: Final = faults
        self._backlog_bytes_max = backlog_bytes_max
        self._connections: set[FeedConnection] = set()
        self.slow_count = 0

    def __len__(self) -> int:
        return len(self._connections)

    def attach(self, connection: FeedConnection) -> None:
        """Send the connection everything from now on."""
        self._connections.add(connection)

    def detach(self, connection: FeedConnection) -> None:
        """Forget a connection; one that was never attached is fine."""
        self._connections.discard(connection)

    def backlog_bytes(self) -> int:
        """Return what waits for the slowest reader."""
        return max((connection.backlog_bytes for connection in self._connections), default=0)

    def publish_trades(self, trades: Sequence[Trade | DayStart], at_ms: int) -> None:
        """Send public trades to all, and keep them for replay."""
        for start in range(0, len(trades), FRAME_TRADES_MAX):
            part = trades[start : start + FRAME_TRADES_MAX]
            frame = self.log.add(part, at_ms)
            if self.faults.active("trades"):
                sent = self.faults.disturb("trades", None, [_encode(trade) for trade in part])
                if not sent:
                    continue
                frame = join(sent)
            for connection in self._connections:
                self._offer(connection, frame)

    def publish_messages(self, messages: Sequence[tuple[str, MemberMessage]]) -> None:
        """Send members their messages, in order."""
        mine: dict[str, list[bytes]] = {}
        listening = {connection.member for connection in self._connections}
        for member, message in messages:
            if member in listening:
                mine.setdefault(member, []).append(_encode(message))
        for member, encoded in mine.items():
            sent = encoded
            if self.faults.active("member"):
                sent = self.faults.disturb("member", member, encoded)
            if sent:
                frame = join(sent)
                for connection in self._connections:
                    if connection.member == member:
                        self._offer(connection, frame)

    def publish_trading(self, status: TradingStatus) -> None:
        """Send all what is traded from now on."""
        frame = _encode([status])
        for connection in self._connections:
            self._offer(connection, frame)

    def beat(self, member_seq: Callable[[str], int], trading_version: int, at_ms: int) -> None:
        """Send every reader a heartbeat."""
        for connection in self._connections:
            own_seq = member_seq(connection.member)
            beat = Heartbeat(own_seq, self.log.last_seq, trading_version, at_ms)
            self._offer(connection, _encode([beat]))

    def drop(self, member: str | None) -> int:
        """Break the connections of a member, or all; return how many."""
        dropped = [c for c in self._connections if member in (None, c.member)]
        for connection in dropped:
            connection.fail("dropped")
            connection.abort()
        return len(dropped)

    def close(self) -> None:
        """End all connections: the exchange stops."""
        for connection in self._connections:
            connection.fail("the exchange stops")

    def _offer(self, connection: FeedConnection, frame: bytes) -> None:
        if connection.failed is not None:
            return
        if connection.backlog_bytes > self._backlog_bytes_max:
            # It comes back and gets a replay: better than an exchange out of memory.
            self.slow_count += 1
            connection.fail("too slow")
            connection.abort()
            return
        connection.offer(frame)


def join(messages: Sequence[bytes]) -> bytes:
    """Return one frame of encoded messages."""
    return b"[" + b",".join(messages) + b"]"
