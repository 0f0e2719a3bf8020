"""What can be made to go wrong between the exchange and a reader of its feed.

Only delivery is touched: what was journaled stays, and a reader that comes back gets it replayed.
"""

import random
import time
from collections.abc import Callable, Sequence
from typing import Annotated, Literal

import msgspec

FeedAction = Literal["duplicate", "reorder", "gap", "silence", "drop"]
Stream = Literal["member", "trades"]


class FeedFaultRequest(
    msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True, omit_defaults=True
):
    """Disturb a stream of the feed.

    `duplicate`, `reorder` (with the one behind it) and `gap` concern the next `times` messages
    of the stream, or, with a `probability`, each of them by chance until `times` were struck;
    `silence` holds everything back for `seconds`, heartbeats too; `drop` breaks the connections.
    `member` limits it to one member's connections.
    """

    action: FeedAction
    stream: Stream = "member"
    member: str | None = None
    times: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 1
    probability: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1.0
    seconds: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 5.0


class FeedFault(msgspec.Struct, rename="camel"):
    """A fault that waits for its messages, and how often it has struck."""

    id: int
    action: FeedAction
    stream: Stream
    member: str | None
    left: int
    probability: float = 1.0
    fired: int = 0
    held: list[bytes] = []


class FeedFaults:
    """The faults in force, by chance from `seed`. `now` is a monotonic clock in seconds."""

    def __init__(self, seed: int, now: Callable[[], float] = time.monotonic) -> None:
        self._random = random.Random(seed)
        self._now = now
        self._faults: dict[int, FeedFault] = {}
        self._count = 0
        self._silences: dict[str | None, float] = {}

    def add(self, request: FeedFaultRequest) -> FeedFault:
        """Put a fault in force. `drop` is the caller's to carry out."""
        self._count += 1
        fault = FeedFault(
            self._count,
            request.action,
            request.stream,
            request.member,
            request.times,
            request.probability,
        )
        if request.action == "silence":
            self._silences[request.member] = self._now() + request.seconds
            fault.fired, fault.left = 1, 0
        elif request.action == "drop":
            fault.left = 0
        self._faults[fault.id] = fault
        # Spent faults stay listed for their counts, but not without end.
        while len(self._faults) > 100:
            del self._faults[next(iter(self._faults))]
        return fault

    def all(self) -> list[FeedFault]:
        """Return the faults, spent ones included."""
        return [*self._faults.values()]

    def remove(self, number: int) -> bool:
        """Lift a fault, but for a silence, which ends by itself; return whether there was one."""
        return self._faults.pop(number, None) is not None

    def clear(self) -> None:
        """Lift all faults. What one held back is not sent: a reader finds the gap by its number."""
        self._faults.clear()
        self._silences.clear()

    def active(self, stream: Stream) -> bool:
        """Whether any fault waits for messages of this stream."""
        return any(fault.left and fault.stream == stream for fault in self._faults.values())

    def silent_seconds(self, member: str) -> float:
        """Return how much longer the member's connections are silent."""
        if not self._silences:
            return 0.0
        until = max(self._silences.get(None, 0.0), self._silences.get(member, 0.0))
        return max(0.0, until - self._now())

    def disturb(self, stream: Stream, member: str | None, messages: Sequence[bytes]) -> list[bytes]:
        """Return the messages as they will be sent. Trades, which go to all, have no member."""
        sent = list(messages)
        for fault in self._faults.values():
            if fault.left and fault.stream == stream and fault.member in (None, member):
                sent = self._disturb(fault, sent)
        return sent

    def _disturb(self, fault: FeedFault, messages: Sequence[bytes]) -> list[bytes]:
        sent: list[bytes] = []
        for message in messages:
            if fault.held:
                sent += [message, *fault.held]
                fault.held = []
                fault.left -= 1
                fault.fired += 1
            elif not (fault.left and self._strikes(fault)):
                sent.append(message)
            elif fault.action == "reorder":
                fault.held = [message]
            else:
                fault.left -= 1
                fault.fired += 1
                sent += [message, message] if fault.action == "duplicate" else []
        return sent

    def _strikes(self, fault: FeedFault) -> bool:
        return fault.probability >= 1 or self._random.random() < fault.probability
