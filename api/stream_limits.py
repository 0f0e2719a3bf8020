"""How many streams of a kind a node opens: in all, for one user, and in one second."""

import random
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

from api.errors import ProblemError

RETRY_SECONDS: Final = (2, 10)
"""Whoever is refused is told a time from this range: a crowd must not come back as a crowd."""


class StreamLimits:
    """Counts what is open on this node. A refusal is a `ProblemError` that may be repeated."""

    def __init__(
        self,
        *,
        streams_max: int,
        streams_per_user_max: int,
        openings_per_second_max: int,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._streams_max = streams_max
        self._streams_per_user_max = streams_per_user_max
        self._openings_per_second_max = openings_per_second_max
        self._now = now
        self._open = 0
        self._open_of: Counter[str] = Counter()
        # A bucket of one second's openings: a crowd is let in at this rate, not all at once.
        self._tokens = float(openings_per_second_max)
        self._filled_at = now()

    def enter(self, user_id: str) -> None:
        """Count one more stream of the user, until `leave`; raises `ProblemError` if it is one too
        many.
        """
        if self._open >= self._streams_max:
            raise _refused("node-full", f"this node shows {self._streams_max} streams at most")
        if self._open_of[user_id] >= self._streams_per_user_max:
            raise _refused(
                "too-many-streams",
                f"a user has at most {self._streams_per_user_max} streams on one node",
            )
        self._take_token()
        self._open += 1
        self._open_of[user_id] += 1

    def leave(self, user_id: str) -> None:
        """One of the user's streams has ended."""
        self._open -= 1
        self._open_of[user_id] -= 1
        if not self._open_of[user_id]:
            del self._open_of[user_id]

    def _take_token(self) -> None:
        now, rate = self._now(), self._openings_per_second_max
        self._tokens = min(rate, self._tokens + (now - self._filled_at) * rate)
        self._filled_at = now
        if self._tokens < 1:
            raise _refused(
                "too-many-openings", f"this node opens at most {rate} streams in a second"
            )
        self._tokens -= 1


def _refused(code: str, detail: str) -> ProblemError:
    return ProblemError(code, detail, retry_after_seconds=random.randint(*RETRY_SECONDS))
