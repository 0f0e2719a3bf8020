"""The beat of an event loop: whether it turns, and how late it comes to what is due."""

import asyncio
import time
from typing import Final

from prometheus_client import Histogram

BEAT_SECONDS: Final = 1.0
LOOP_LAG_SECONDS_MAX: Final = 5.0
"""A loop that has not turned for this long is dead for its users, whatever else still runs."""

LATE_SECONDS: Final = Histogram(
    "sherwood_loop_late_seconds",
    "How much later than planned the loop came to its beat, once a second.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0),
)


class Heart:
    """Beats once a second for as long as `beat` runs."""

    def __init__(self) -> None:
        self._beat_at = time.monotonic()

    @property
    def alive(self) -> bool:
        """True while the loop turns."""
        return time.monotonic() - self._beat_at < LOOP_LAG_SECONDS_MAX

    async def beat(self) -> None:
        """Note every second that the loop turned; runs until cancelled."""
        while True:
            self._beat_at = time.monotonic()
            await asyncio.sleep(BEAT_SECONDS)
            LATE_SECONDS.observe(max(0.0, time.monotonic() - self._beat_at - BEAT_SECONDS))
