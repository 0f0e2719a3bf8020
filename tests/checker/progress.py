"""L1 to L3: whether everything came to rest. Pure, over evidence."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tests.checker.postgres import IN_FLIGHT
from tests.checker.violations import Violation

if TYPE_CHECKING:
    from tests.checker.evidence import Evidence


def stuck(evidence: "Evidence") -> list[Violation]:
    """What is still under way; at rest nothing is."""
    return [*_l1(evidence), *_l2(evidence), *_l3(evidence)]


def _l1(evidence: "Evidence") -> Iterator[Violation]:
    """Every order has ended with all its executions, or rests, confirmed by the exchange."""
    there = {report.client_order_id: report.status for report in evidence.venue.record.orders}
    for order in evidence.tables.orders:
        if order.is_settled:
            continue
        status = there.get(order.order_id)
        if order.status in IN_FLIGHT:
            yield Violation("L1", order.order_id, f"{order.status} here, {status} there")
        elif not order.is_open:
            missing = f"{order.executed_shares} of {order.final_shares} executed shares are booked"
            yield Violation("L1", order.order_id, f"{order.status}, {missing}")
        elif status != "open":
            yield Violation("L1", order.order_id, f"{order.status} here, {status} there")


def _l2(evidence: "Evidence") -> Iterator[Violation]:
    """An order has a run exactly as long as something may come of it."""
    unsettled = {one.order_id for one in evidence.tables.orders if not one.is_settled}
    for order_id in sorted(unsettled - evidence.running):
        yield Violation("L2", order_id, "it is not over, and no workflow of it runs")
    known = {one.order_id for one in evidence.tables.orders}
    for order_id in sorted(evidence.running - unsettled):
        what = "it is over" if order_id in known else "it has no row"
        yield Violation("L2", order_id, f"{what}, and a workflow of it runs")


def _l3(evidence: "Evidence") -> Iterator[Violation]:
    """Nothing the exchange told is on its way, put aside or given up."""
    streams = evidence.streams
    waiting = {
        "EXECUTIONS, not fetched": streams.pending,
        "EXECUTIONS, not acknowledged": streams.unacknowledged,
        **{f"PARKED, {one}": count for one, count in streams.parked.items()},
        **{f"DEAD_LETTERS, {one}": count for one, count in streams.dead.items()},
        "waiting_amendments": len(evidence.tables.waiting),
        "the feed": sum(one.seq > streams.taken_seq for one in evidence.venue.messages),
    }
    for where, count in waiting.items():
        if count:
            yield Violation("L3", where, f"{count} reports are left")
