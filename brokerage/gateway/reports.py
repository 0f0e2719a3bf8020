"""What the exchange says of our orders, as the order's workflow is told."""

from functools import partial

from brokerage.contracts.events import ExecutionReport
from exchange.protocol import Bust, Correction, End, MemberMessage


def report_of(message: MemberMessage) -> ExecutionReport:
    """The report of one message; its id is what "once" means for it."""
    report = partial(
        ExecutionReport,
        external_order_id=message.order_id,
        feed_seq=message.seq,
        symbol=message.symbol,
        shares=0,
        price_cents=0,
        cumulative_shares=message.cumulative_shares,
        at_ms=message.at_ms,
    )
    if isinstance(message, End):
        report_id = f"end:{message.order_id}"
        return report(report_id, "end", status=message.status, reason=message.reason)
    if isinstance(message, Bust):
        return report(message.bust_id, "bust", execution_id=message.execution_id)
    stands = partial(report, shares=message.shares, price_cents=message.price_cents)
    if isinstance(message, Correction):
        return stands(message.correction_id, "correction", execution_id=message.execution_id)
    return stands(message.execution_id, "fill")
