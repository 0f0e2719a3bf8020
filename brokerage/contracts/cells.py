"""Which cell holds a user: the Temporal namespace and the Postgres of a part of all users."""

import hashlib
from typing import Final

CELLS: Final = 1
"""One until a second cell exists; then whoever connects to Temporal or Postgres asks `cell_of`."""


def cell_of(user_id: str, cells: int = CELLS) -> int:
    """A stable hash: the same user is in the same cell on every machine and in every release."""
    return int.from_bytes(hashlib.sha256(user_id.encode()).digest()[:8], "big") % cells
