"""What a node's order streams count."""

from typing import Final

from prometheus_client import Counter, Gauge

STREAMS: Final = Gauge("sherwood_order_streams", "Order streams open on this node")
USERS: Final = Gauge("sherwood_order_stream_users", "Users with an order stream on this node")
READS: Final = Counter(
    "sherwood_order_stream_reads",
    "Pages of events read: for all streams of a user (live), or for one that is behind (replay)",
    ["why"],
)
MISSED: Final = Counter(
    "sherwood_order_notices_missed", "Times a beat found events that no notice had told of"
)
CUT: Final = Counter("sherwood_order_logs_cut", "Times a log ended earlier than it once had")
REFUSED: Final = Counter("sherwood_order_streams_refused", "Streams that were not opened", ["code"])
