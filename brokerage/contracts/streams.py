"""Live streams by their id, and what nodes say to each other about them."""

import re
from dataclasses import dataclass
from typing import Final, Literal

STREAM_ID: Final = re.compile(r"([a-z0-9]{1,32})\.[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class ChangeRequest:
    """Let the user's stream show `symbols` instead of what it shows; not after `good_until_ms`."""

    stream_id: str
    user_id: str
    symbols: tuple[str, ...]
    good_until_ms: int


@dataclass(frozen=True, slots=True)
class ChangeReply:
    """`not-found`: the user has no such stream there. `unavailable`: nothing was changed."""

    outcome: Literal["changed", "not-found", "unavailable"]


def node_of_stream(stream_id: str) -> str | None:
    """The node that holds the stream; None where the id is none."""
    found = STREAM_ID.fullmatch(stream_id)
    return found[1] if found else None
