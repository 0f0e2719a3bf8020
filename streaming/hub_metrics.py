"""What a node's hub counts."""

from typing import Final

from prometheus_client import Gauge

VIEWERS: Final = Gauge("sherwood_hub_viewers", "Price streams open on this node")
SYMBOLS: Final = Gauge("sherwood_hub_symbols", "Symbols this node follows")
LIVE: Final = Gauge("sherwood_hub_feed_live", "1 while the feed's beat is heard")
