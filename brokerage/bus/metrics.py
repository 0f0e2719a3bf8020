"""What the small shared services on the bus count."""

from typing import Final

from prometheus_client import Counter

TICKETS: Final = Counter(
    "sherwood_stream_tickets",
    "Tickets: issued, refused (the user has too many), redeemed, invalid.",
    ("outcome",),
)
STREAM_CHANGES: Final = Counter(
    "sherwood_stream_changes",
    "Changes of a live stream's symbols that this node was asked for: changed, not-found, "
    "unavailable, dropped (too many under way).",
    ("outcome",),
)
