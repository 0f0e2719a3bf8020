"""What the small shared services on the bus count."""

from typing import Final

from prometheus_client import Counter, Gauge

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
KILL_SWITCH_LEVEL: Final = Gauge(
    "sherwood_kill_switch_level",
    "The level of the kill switch by scope; of users and symbols the highest.",
    ("scope",),
)
KILL_SWITCH_READABLE: Final = Gauge(
    "sherwood_kill_switch_readable",
    "1 while this process knows the kill switch; 0: no order passes here.",
)
