"""What the gateway counts."""

from prometheus_client import Counter, Gauge, Histogram

CALLS = Counter(
    "sherwood_gateway_calls_total", "Requests answered by the gateway", ["call", "outcome"]
)
PENDING = Gauge("sherwood_gateway_pending", "Requests taken and not answered yet", ["call"])
EXCHANGE_CALLS = Counter(
    "sherwood_gateway_exchange_calls_total", "HTTP requests to the exchange", ["call", "result"]
)
EXCHANGE_CONNECTS = Counter(
    "sherwood_gateway_exchange_connects_total",
    "Connections on which the exchange answered: place, or other for all else",
    ["call"],
)
EXCHANGE_SECONDS = Histogram(
    "sherwood_gateway_exchange_seconds",
    "How long the exchange took to answer",
    ["call"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0),
)
WAIT_SECONDS = Histogram(
    "sherwood_gateway_wait_seconds",
    "How long a placement waited to be sent",
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0),
)
BATCH_ORDERS = Histogram(
    "sherwood_gateway_batch_orders",
    "Placements sent in one request",
    buckets=(1, 2, 5, 10, 20, 30, 40, 50),
)
MASS_CANCELS = Counter(
    "sherwood_gateway_mass_cancels_total", "Mass cancels by the kill switch", ["scope", "result"]
)
EGRESS_DECLINED = Counter(
    "sherwood_gateway_egress_declined_total",
    "Placements that the check of what leaves held back",
    ["code"],
)
EGRESS_TRIPS = Counter(
    "sherwood_gateway_egress_trips_total", "Times that the check set the kill switch", ["scope"]
)
