"""What the exchange told about an order, as it travels from the feed to the order's workflow."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class ExecutionReport:
    """A fill or an unsolicited end of one order.

    `report_id` is the execution id of a fill, or `end:<exchange's order id>`; it is what "once"
    means for the report. For an end, `shares` and `price_cents` are 0, `status` says how it ended,
    and `cumulative_shares` is all that was ever executed. `feed_seq` is the member sequence.
    """

    report_id: str
    kind: Literal["fill", "end"]
    external_order_id: str
    feed_seq: int
    symbol: str
    shares: int
    price_cents: int
    cumulative_shares: int
    at_ms: int
    status: str | None = None
    reason: str | None = None
