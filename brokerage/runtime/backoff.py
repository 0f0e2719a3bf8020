"""How long to wait before trying again. Which pauses there are: docs/retries.md."""

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses that double from `first_seconds` to `max_seconds`, each drawn from its upper half.

    By chance, so that all who lost the same server do not come back in the same instant.
    """

    first_seconds: float
    max_seconds: float

    def pause_seconds(self, failures: int) -> float:
        """The pause after so many failures in a row, the first being 1."""
        ceiling_seconds = min(self.max_seconds, self.first_seconds * 2.0 ** min(failures - 1, 30))
        return ceiling_seconds * random.uniform(0.5, 1.0)
