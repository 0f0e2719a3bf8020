"""What the exchange told about an order, as it travels from the feed to the order's workflow."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class ExecutionReport:
    """A fill or an unsolicited end of one order, or what becomes of a fill.

    `report_id` is the execution id of a fill, the own id of a bust or correction, or
    `end:<exchange's order id>`; it is what "once" means for the report. A bust or correction names
    in `execution_id` the fill it is about; `shares` at `price_cents` then stand of it (0 and 0:
    nothing). For an end both are 0, `status` says how it ended, and `cumulative_shares` is all that
    was executed. `feed_seq` is the member sequence.
    """

    report_id: str
    kind: Literal["fill", "end", "bust", "correction"]
    external_order_id: str
    feed_seq: int
    symbol: str
    shares: int
    price_cents: int
    cumulative_shares: int
    at_ms: int
    status: str | None = None
    reason: str | None = None
    execution_id: str | None = None
