"""Booking what the exchange reports of an order: executions, ends, busts and corrections."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from temporalio import activity
from temporalio.exceptions import ApplicationError

from brokerage.contracts.events import ExecutionReport
from brokerage.contracts.gateway import ExternalOrder
from brokerage.domain import booking
from brokerage.domain.corrections import Amendment, amend
from brokerage.domain.orders import Order, OrderStatus, TimeInForce

if TYPE_CHECKING:
    from brokerage.storage.writes import OpenBooks

EXCHANGE: Final = "exchange"
"""The actor of everything that the exchange told us."""


async def acknowledge(books: "OpenBooks", external_order_id: str) -> Order:
    """Store that the exchange has the order under `external_order_id`."""
    change = booking.acknowledge(_order(books), books.books, external_order_id, datetime.now(UTC))
    return await books.store(change, actor=EXCHANGE)


async def adopt_external(books: "OpenBooks", external: ExternalOrder) -> Order:
    """Store what the exchange says the order is: that it has it, and how it ended there if it did.
    Not for one that the exchange refused.
    """
    order = _order(books)
    if order.external_order_id is None:
        order = await acknowledge(books, external.external_order_id)
    # A full fill is told by its executions. It needs telling here where something waits for the
    # order's end: a cancel that came too late, an `ioc` order.
    end_awaited = (
        order.status is OrderStatus.PENDING_CANCEL or order.time_in_force is TimeInForce.IOC
    )
    over = external.status in ("cancelled", "expired") or (
        external.status == "filled" and end_awaited
    )
    if not (over and order.is_open and order.end_status is None):
        return order
    change = booking.end(
        order,
        books.books,
        OrderStatus(external.status),
        external.cumulative_shares,
        external.reason,
        datetime.now(UTC),
    )
    return await books.store(change, actor=EXCHANGE)


async def book_reports(books: "OpenBooks", told: Sequence[ExecutionReport]) -> str | None:
    """Book each report that is not booked yet, in the order of the feed.

    A bust or correction that overtook its execution is kept and booked right after it. Returns the
    exchange's order id where the reports are the first to tell it.
    """
    newly_routed: str | None = None
    waiting = {report.report_id: report for report in await books.amendments.waiting(_order(books))}
    reports = {report.report_id: report for report in told} | waiting
    for report in sorted(reports.values(), key=lambda one: one.feed_seq):
        if report.report_id in books.known_reports:
            continue
        if report.kind in ("bust", "correction"):
            await _book_amendment(books, report, waits=report.report_id in waiting)
            continue
        if _order(books).external_order_id is None:
            # The report came before the acknowledgement, and says what that would say.
            await acknowledge(books, report.external_order_id)
            newly_routed = report.external_order_id
        await _book(books, report)
    return newly_routed


async def _book(books: "OpenBooks", report: ExecutionReport) -> None:
    order, now = _order(books), datetime.now(UTC)
    if report.kind == "fill":
        change = booking.settle(
            order, books.books, report.report_id, report.shares, report.price_cents, now
        )
        await books.store(change, actor=EXCHANGE, report=report)
    elif order.end_status is None and order.is_open:
        status = OrderStatus(report.status or OrderStatus.CANCELLED)
        change = booking.end(
            order, books.books, status, report.cumulative_shares, report.reason, now
        )
        await books.store(change, actor=EXCHANGE, report=report)
    else:
        await books.note_report(report, order, actor=EXCHANGE)


async def _book_amendment(books: "OpenBooks", report: ExecutionReport, *, waits: bool) -> None:
    order, execution_id = _order(books), report.execution_id or ""
    standing = await books.amendments.standing(order, execution_id)
    if standing is None:
        if not waits:
            activity.logger.warning("%s waits for %s", report.report_id, execution_id)
            await books.amendments.keep(order, report)
        return
    if waits:
        await books.amendments.release(order, report)
    if report.feed_seq < standing.feed_seq:
        # What a newer one says of the execution holds.
        await books.note_report(report, order, actor=EXCHANGE)
        return
    amendment = Amendment(report.report_id, execution_id, report.shares, report.price_cents)
    change = amend(order, books.books, standing.allocation, amendment, datetime.now(UTC))
    await books.store(change, actor=EXCHANGE, report=report)


def _order(books: "OpenBooks") -> Order:
    if books.order is None:
        raise ApplicationError("nothing to book on", non_retryable=True)
    return books.order
