"""What a node's hub counts."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

VIEWERS: Final = Gauge("sherwood_hub_viewers", "Price streams open on this node")
SYMBOLS: Final = Gauge("sherwood_hub_symbols", "Symbols this node follows")
LIVE: Final = Gauge("sherwood_hub_feed_live", "1 while the feed's beat is heard")
EPOCH: Final = Gauge("sherwood_hub_epoch", "Epoch of the feed whose beat was heard last")
TICKS: Final = Counter("sherwood_hub_ticks", "Ticks taken from the bus, newer than what was here")
FENCED: Final = Counter("sherwood_hub_fenced", "Beats of a feed that is not the owner any more")
WRITES: Final = Counter("sherwood_hub_writes", "Writes to viewers")
BYTES: Final = Counter("sherwood_hub_written_bytes", "Bytes of events written to viewers")
PARKED: Final = Gauge("sherwood_hub_parked_viewers", "Viewers whose last write waits for them")
MISSED: Final = Gauge("sherwood_hub_missed_symbols", "Symbols that parked viewers are behind in")
DROPPED: Final = Counter("sherwood_hub_dropped", "Streams ended because the client read nothing")
REFUSED: Final = Counter("sherwood_hub_refused", "Streams that were not opened", ["code"])
REREADS: Final = Counter("sherwood_hub_rereads", "Times all symbols were read anew after NATS")
PASS_SECONDS: Final = Histogram(
    "sherwood_hub_pass_seconds",
    "How long one pass over the viewers concerned took",
    buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0),
)
LATE_SECONDS: Final = Histogram(
    "sherwood_hub_late_seconds",
    "How much later than planned a pass began: the loop was busy with something else",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0),
)
AGE_SECONDS: Final = Histogram(
    "sherwood_hub_price_age_seconds",
    "From the emission of a trade at the exchange to the write that shows it (one a pass)",
    buckets=(0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2, 5),
)
