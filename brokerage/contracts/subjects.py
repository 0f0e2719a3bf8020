"""Every NATS subject, stream and bucket by name, in one place."""

from typing import Final

PRICES_STREAM: Final = "PRICES"
"""Memory stream over `prices.*` that keeps one message a subject: the last value of each symbol."""
EXECUTIONS_STREAM: Final = "EXECUTIONS"
"""Durable stream over `executions.>`: what the exchange told about our orders."""
PARKED_STREAM: Final = "PARKED"
"""Durable stream over `parked.>`: reports whose order is not known yet."""
DEAD_STREAM: Final = "DEAD_LETTERS"
"""Durable stream over `dead.>`: reports that the exchange attributes to no order of ours."""
MARKET_BUCKET: Final = "market"
"""Key-value bucket: `directory` (JSON list of symbol and name), `epoch` (of the feed)."""
TICKETS_BUCKET: Final = "tickets"
"""Key-value bucket in memory: the tickets that are good for one stream, each for some seconds."""

KILL_SWITCH_BUCKET: Final = "kill-switch"
"""Key-value bucket on disk: `state` (JSON of `contracts.kill_switch.Switches`) with its history."""

EGRESS_BUCKET: Final = "egress"
"""Key-value bucket in memory: `entered.<order>`, the terms of an order whose row is there, and
`live.<order>`, the claim of the gateway that has an attempt to place it in hand."""

LEASES_BUCKET: Final = "leases"
"""Key-value bucket in memory: who owns what only one process may do."""
FEED_LEASE: Final = "feed"
"""Its key for the connection to the exchange's feed."""

FEED_BEAT: Final = "feed.beat"
"""Once a second while the exchange's feed is live, and at once when a symbol is halted or the
market opens or closes: JSON `{"at", "tradeSeq", "epoch", "trading"}`. Silence is how a stale feed
is noticed; ticks and beats of an older epoch come from a feed that was replaced.
"""
FEED_RESEND: Final = "feed.resend"
"""Asks the feed to publish every symbol again, JSON `{"epoch"}`: the newest that the asker knows.
Said by who stopped being the feed, and by who was given a price of an older epoch."""

GATEWAY_QUEUE: Final = "gateway"
GATEWAY_PLACE: Final = "gateway.place"
GATEWAY_CANCEL: Final = "gateway.cancel"
GATEWAY_QUERY: Final = "gateway.query"
GATEWAY_STATEMENT: Final = "gateway.statement"
GATEWAY_POSITIONS: Final = "gateway.positions"
GATEWAY_SIMULATE: Final = "gateway.simulate"
"""Served in development only."""


def price_subject(symbol: str) -> str:
    """`prices.<SYMBOL>`; a dot would be one more level of the subject, so it becomes `_`."""
    return f"prices.{symbol.replace('.', '_')}"


def execution_subject(kind: str, external_order_id: str) -> str:
    """`executions.<kind>.<exchange's order id>`; kinds: fill, end, bust, correction."""
    return f"executions.{kind}.{external_order_id}"


def parked_subject(external_order_id: str) -> str:
    """Where reports for an order wait that we cannot name yet."""
    return f"parked.{external_order_id}"


def dead_subject(external_order_id: str) -> str:
    """Where reports end that belong to no order of ours."""
    return f"dead.{external_order_id}"


def route_subject(external_order_id: str) -> str:
    """Notice that the exchange's order id is known from now on."""
    return f"routes.{external_order_id}"


def orders_subject(user_id: str) -> str:
    """Notice that an order of the user changed; payload: the sequence of its event."""
    return f"orders.{user_id}"


def streams_subject(node_id: str) -> str:
    """Requests to the node that holds a stream."""
    return f"streams.{node_id}"


def entered_subject(order_id: str) -> str:
    """Where it is said that the order's row is there, with its terms."""
    return f"$KV.{EGRESS_BUCKET}.entered.{order_id}"


def live_subject(order_id: str) -> str:
    """The claim of one attempt to place the order."""
    return f"$KV.{EGRESS_BUCKET}.live.{order_id}"
