"""What the workflow of an order does to the books: take it in, book reports, note a cancel."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.notices import Notices
from activities.reports import book_reports
from activities.trace import Trace
from brokerage.contracts.commands import (
    CancelRequested,
    OrderKey,
    OrderState,
    Reply,
    SettleRequest,
    SettleResult,
    StartOrder,
)
from brokerage.contracts.placements import new_order
from brokerage.contracts.views import format_time
from brokerage.domain import booking, risk
from brokerage.domain.errors import Rejected
from brokerage.domain.orders import Order, OrderStatus
from brokerage.domain.risk import Standing

if TYPE_CHECKING:
    from brokerage.storage.writes import OrderWriter


def state_of(order: Order, reply: Reply | None = None, created: bool = False) -> OrderState:
    """What the workflow needs of an order's row."""
    return OrderState(
        status=order.status.value,
        version=order.version,
        settled=order.is_settled,
        created=created,
        external_order_id=order.external_order_id,
        ended=order.end_status is not None,
        unanswered=order.awaits_answer,
        reply=reply,
        shares=order.shares,
        filled_shares=order.filled_shares,
        changed_at_ms=int(order.updated_at.timestamp() * 1000),
    )


class OrderActivities:
    """Each method is one transaction, keyed by (order, step): a repeat finds its own work."""

    def __init__(self, orders: "OrderWriter", notices: Notices) -> None:
        self._orders = orders
        self._notices = notices

    @activity.defn
    async def reserve(self, start: StartOrder) -> OrderState:
        """Keep the order as `pending` with its cash or shares held, or as `rejected`."""
        now = datetime.now(UTC)
        order = new_order(start)
        claim = {
            "key": start.idempotency_key,
            "claimedAt": format_time(order.created_at),
            "lastPriceInCents": start.last_price_cents,
        }
        async with self._orders.transaction(
            start.user_id,
            start.order_id,
            start.symbol,
            side=order.side,
            trace={**Trace().detail, "claim": claim},
        ) as books:
            if books.standing is not None:
                change = _admitted(order, books.books, books.standing, start.last_price_cents, now)
                await books.store(
                    change,
                    actor=start.user_id,
                    address=start.address,
                    idempotency_key=start.idempotency_key,
                )
        if books.seq is None:
            return await self.adopt(OrderKey(start.order_id, start.user_id))
        if change.order.status is OrderStatus.PENDING:
            await self._notices.order_entered(change.order)
        await self._notices.order_changed(start.user_id, books.seq)
        return state_of(change.order, books.reply, created=True)

    @activity.defn
    async def adopt(self, key: OrderKey) -> OrderState:
        """Read the order as it is. Fails for good if there is no such row."""
        stored = await self._orders.read(key.user_id, key.order_id)
        if stored is None:
            raise ApplicationError(f"no order {key.order_id}", non_retryable=True)
        return state_of(stored.order, stored.reply)

    @activity.defn
    async def settle(self, request: SettleRequest) -> SettleResult:
        """Book reports of the exchange, each once, whatever the order's status."""
        ids = [report.report_id for report in request.reports]
        async with self._orders.transaction(
            request.user_id, request.order_id, reports=ids, trace=Trace().detail
        ) as books:
            if books.order is None:
                raise ApplicationError(f"no order {request.order_id}", type="OrderMissing")
            newly_routed = await book_reports(books, request.reports)
            order = books.order
        if newly_routed is not None:
            await self._notices.route_known(newly_routed)
        if books.seq is not None:
            await self._notices.order_changed(request.user_id, books.seq)
        return SettleResult(ids, state_of(order, books.reply))

    @activity.defn
    async def request_cancel(self, request: CancelRequested) -> OrderState:
        """Note that the customer wants the rest of the order gone, if it is still live, and at the
        version at which that was asked.
        """
        async with self._orders.transaction(
            request.user_id, request.order_id, trace=Trace().detail
        ) as books:
            order = books.order
            if order is None:
                raise ApplicationError(f"no order {request.order_id}", non_retryable=True)
            seen = request.seen_version in (None, order.version)
            if seen and order.is_open and order.status is not OrderStatus.PENDING_CANCEL:
                change = booking.request_cancel(order, books.books, datetime.now(UTC))
                order = await books.store(change, actor=request.actor, address=request.address)
        if books.seq is not None:
            await self._notices.order_changed(request.user_id, books.seq)
        return state_of(order, books.reply)


def _admitted(
    order: Order, books: booking.Books, standing: Standing, last_price_cents: int, now: datetime
) -> booking.Change:
    if now > order.send_by:
        late = replace(order, updated_at=now)
        return booking.turn_down(
            late, Rejected("not-sent-in-time", "the order waited too long to be sent")
        )
    return risk.admit(order, books, standing, last_price_cents)
