"""What the executions process counts."""

from prometheus_client import Counter, Gauge, Histogram

REPORTS = Counter(
    "sherwood_executions_reports_total", "Reports by what became of them", ["kind", "result"]
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
UPDATE_REPORTS = Histogram(
    "sherwood_executions_update_reports",
    "Reports told to a workflow in one update",
    buckets=(1, 2, 5, 10, 20, 50),
)
REOPENED = Counter("sherwood_executions_reopened_total", "Orders whose workflow had ended")
SETTLE_SECONDS = Histogram(
    "sherwood_executions_settle_seconds",
    "From taking a report to its acknowledgement",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60),
)
