"""How often a request is tried, and how long it waits in between."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delays that double from `first_seconds` to `max_seconds`, each drawn from its upper half.

    The jitter keeps clients that lost the same server from coming back in the same instant.
    """

    first_seconds: float
    max_seconds: float
    chance: Callable[[], float] = random.random

    def delay_seconds(self, failures: int) -> float:
        """Return how long to wait after that many failures in a row, the first being 1."""
        ceiling_seconds = min(self.max_seconds, self.first_seconds * 2.0 ** min(failures - 1, 30))
        return ceiling_seconds * (0.5 + self.chance() / 2)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """The bounds of one request, all of its attempts together."""

    attempts_max: int = 5
    connect_timeout_seconds: float = 3.0
    attempt_timeout_seconds: float = 10.0
    total_timeout_seconds: float = 30.0
    backoff: Backoff = Backoff(first_seconds=0.25, max_seconds=4.0)


@dataclass(frozen=True, slots=True)
class Retry:
    """An attempt that failed and will be followed by another."""

    attempt: int
    attempts_max: int
    delay_seconds: float
    reason: str


def parse_retry_after(header: str | None, now: datetime) -> float | None:
    """Return the seconds a Retry-After header asks for (a number or an HTTP date), or None."""
    if header is None:
        return None
    if header.isascii() and header.isdigit():
        return float(header)
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())
