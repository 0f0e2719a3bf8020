"""What the executions process counts."""

from prometheus_client import Counter, Gauge, Histogram

REPORTS = Counter(
    "sherwood_executions_reports_total", "Reports by what became of them", ["kind", "result"]
)
WAITING = Gauge(
    "sherwood_executions_waiting",
    "Reports that no executions process had fetched at this one's last look",
)
HELD = Gauge("sherwood_executions_held", "Reports in hand, neither settled nor parked")
ORDERS = Gauge("sherwood_executions_orders", "Orders whose reports are being worked on")
PARKED = Gauge("sherwood_executions_parked_orders", "Orders for which reports are parked")
DEAD_LETTERS = Gauge(
    "sherwood_dead_letters", "Reports that lie in DEAD_LETTERS, of no order of ours"
)
RETRIES = Counter(
    "sherwood_executions_retries_total", "Attempts that have to be repeated, by cause", ["cause"]
)
AGE_SECONDS = Histogram(
    "sherwood_executions_age_seconds",
    "From the exchange's time of a report to its settlement",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60, 600, 3600),
)
SETTLE_SECONDS = Histogram(
    "sherwood_executions_settle_seconds",
    "From taking a report to its acknowledgement",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60),
)
