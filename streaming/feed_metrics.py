"""What the feed counts."""

from typing import Final

from prometheus_client import Counter, Gauge

TRADES: Final = Counter("sherwood_feed_trades", "Public trades taken from the exchange's feed")
TICKS: Final = Counter("sherwood_feed_ticks", "Ticks published, repairs not counted")
FORWARDED: Final = Counter("sherwood_feed_executions", "Member messages stored in the stream")
BACKLOG: Final = Gauge("sherwood_feed_executions_waiting", "Member messages not yet stored")
GAPS: Final = Counter("sherwood_feed_gaps", "Jumps in a sequence", ["sequence"])
CONNECTS: Final = Counter("sherwood_feed_connects", "Connections made to the exchange's feed")
RESTARTED: Final = Counter(
    "sherwood_feed_sequence_restarts",
    "The exchange's sequence is behind ours: it lost its journal, or is another one",
    ["sequence"],
)
AGE: Final = Gauge("sherwood_feed_age_seconds", "Time since the last heartbeat of the exchange")
OWNER: Final = Gauge("sherwood_feed_owner", "1 while this process owns the exchange's feed")
TAKEOVERS: Final = Counter("sherwood_feed_takeovers", "Times this process became the owner")
RENEWALS_FAILED: Final = Counter("sherwood_feed_renewals_failed", "Renewals of the lease in vain")
LOST: Final = Counter("sherwood_feed_leases_lost", "Times this process was the owner and lost it")
