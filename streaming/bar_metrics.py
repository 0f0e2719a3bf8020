"""What the bars and their writer count."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

WRITTEN: Final = Counter("sherwood_bars_written", "Bars stored; one that is still open, repeatedly")
FAILED: Final = Counter("sherwood_bars_write_failures", "Writes that are repeated")
WRITE_SECONDS: Final = Histogram("sherwood_bars_write_seconds", "Time of one write of bars")
WAITING: Final = Gauge("sherwood_bars_waiting", "Bars that changed and are not yet stored")
LAG: Final = Gauge("sherwood_bars_lag_seconds", "How long the oldest trade waits to be stored")
SKIPPED: Final = Counter(
    "sherwood_bars_trades_skipped", "Trades in no bar: the exchange could not replay them any more"
)
