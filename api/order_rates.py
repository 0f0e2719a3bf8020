"""How many orders each user may still place, as far as a node knows: headers of its answers."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from brokerage.storage.admission import OrderRate

USERS_REMEMBERED_MAX: Final = 10_000

Headers = list[tuple[bytes, bytes]]


class OrderRates:
    """The rate of each user as the last claim on this node told it, and everybody's for the others.

    Postgres decides; this only tells. What is remembered refills as the bucket in Postgres does, so
    it is exact until the user places an order elsewhere.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._everybodys: OrderRate | None = None
        self._known: OrderedDict[str, tuple[OrderRate, float]] = OrderedDict()

    def learn_everybodys(self, rate: OrderRate) -> None:
        """Keep what holds for users that are not known here."""
        self._everybodys = rate

    def learn(self, user_id: str, rate: OrderRate) -> None:
        """Keep what Postgres says of a user; who was learnt longest ago is forgotten for it."""
        self._known[user_id] = rate, self._now()
        self._known.move_to_end(user_id)
        if len(self._known) > USERS_REMEMBERED_MAX:
            self._known.popitem(last=False)

    def headers(self, user_id: str) -> Headers:
        """`RateLimit-Limit` and `-Remaining` in orders, `-Reset` in seconds until all are there
        again; none of them while not even everybody's rate is known.
        """
        rate = self._now_of(user_id)
        if rate is None:
            return []
        # A token that came back a microsecond ago must not be lost to a float.
        missing = math.ceil(rate.full_in_seconds / rate.token_seconds - 1e-6)
        return [
            (b"ratelimit-limit", b"%d" % rate.burst),
            (b"ratelimit-remaining", b"%d" % max(0, rate.burst - missing)),
            (b"ratelimit-reset", b"%d" % math.ceil(rate.full_in_seconds)),
        ]

    def _now_of(self, user_id: str) -> OrderRate | None:
        if user_id not in self._known:
            return self._everybodys
        rate, learnt_at = self._known[user_id]
        elapsed = self._now() - learnt_at
        return replace(rate, full_in_seconds=max(0.0, rate.full_in_seconds - elapsed))
