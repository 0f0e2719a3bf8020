"""How many requests may wait at a node for an order to change: each listens and reads."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from api.errors import ProblemError

WAITS_MAX: Final = 500
"""On one node; each reads its order once a second, should no notice come."""
WAITS_PER_USER_MAX: Final = 20


class Waits:
    """Counts who waits on this node."""

    def __init__(self) -> None:
        self._waiting: Counter[str] = Counter()

    @contextmanager
    def one_more(self, user_id: str) -> Iterator[None]:
        """Count a wait as long as the block; raises `ProblemError` overloaded for one too many."""
        if self._waiting[user_id] >= WAITS_PER_USER_MAX:
            raise ProblemError("overloaded", f"{WAITS_PER_USER_MAX} requests of yours wait already")
        if self._waiting.total() >= WAITS_MAX:
            raise ProblemError("overloaded", f"{WAITS_MAX} requests wait at this node already")
        self._waiting[user_id] += 1
        try:
            yield
        finally:
            self._waiting[user_id] -= 1
            if not self._waiting[user_id]:
                del self._waiting[user_id]
