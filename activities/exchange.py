"""What the workflow of an order asks the exchange, through the gateway."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from activities.notices import Notices
from activities.orders import state_of
from activities.reports import EXCHANGE, acknowledge, adopt_external
from activities.trace import Trace
from brokerage.contracts.commands import OrderKey, OrderState, Reply, SubmitRequest
from brokerage.contracts.gateway import (
    CancelRequest,
    ExternalOrder,
    GatewayReply,
    QueryRequest,
)
from brokerage.contracts.placements import place_request
from brokerage.domain import booking
from brokerage.domain.orders import Order, OrderStatus
from brokerage.runtime.backoff import Backoff

if TYPE_CHECKING:
    from brokerage.gateway.client import GatewayClient
    from brokerage.storage.writes import OpenBooks, OrderWriter

FAST_CALL_SECONDS: Final = 1.2
"""For one call on the fast path: within its 1.5 s, with room to write the answer down."""
SLOW_CALL_SECONDS: Final = 2.0
"""For one call of the slow path: the gateway gives the exchange a second."""
VISIBILITY_SECONDS: Final = 2.0
"""The exchange shows an accepted order to queries no later than this (exchange/protocol.py)."""
UNKNOWN: Final = Backoff(0.25, 10.0)
"""Between two attempts to learn what became of an order."""


class Verdict(Protocol):
    """What becomes of a pending order that will never trade: `booking.fail`, `booking.refuse`."""

    def __call__(self, order: Order, books: booking.Books, *, at: datetime) -> booking.Change: ...


class ExchangeActivities:
    """Each method leads to a row that says what the exchange said, or fails as unknown."""

    def __init__(self, orders: "OrderWriter", gateway: "GatewayClient", notices: Notices) -> None:
        self._orders = orders
        self._gateway = gateway
        self._notices = notices

    @activity.defn
    async def submit(self, request: SubmitRequest) -> OrderState:
        """Send a pending order, once. Fails with `OutcomeUnknown` unless the answer is definite."""
        order, kept = await self._read(request.order_id, request.user_id)
        if order.status is not OrderStatus.PENDING:
            return state_of(order, kept)
        async with self._traced(order) as trace:
            terms = place_request(order)
            reply = await trace.heard(terms, self._gateway.place(terms, FAST_CALL_SECONDS))
            if reply.outcome == "accepted" and reply.order is not None:
                return await self._adopt_external(order, reply.order, trace)
            if reply.outcome == "refused" and not request.repeated:
                return await self._refuse(order, reply.code, trace)
            raise ApplicationError(
                _unknown(reply),
                type="OutcomeUnknown",
                non_retryable=True,
                category=ApplicationErrorCategory.BENIGN,
            )

    @activity.defn
    async def resolve_submission(self, key: OrderKey) -> OrderState:
        """Find out what became of a placement; fails, to be retried, while that is unknown.

        Until `send_by` the stored terms go out again under the same id. After it the exchange is
        asked, and absence is proved only by its promise to refuse the order for ever.
        """
        await self._orders.free_placing_lock(key.user_id, key.order_id)
        order, kept = await self._read(key.order_id, key.user_id)
        if not order.awaits_answer:
            return state_of(order, kept)
        async with self._traced(order) as trace:
            code = None
            if order.status is OrderStatus.PENDING and datetime.now(UTC) < order.send_by:
                terms = place_request(order)
                await self._notices.order_entered(order)
                placed = await trace.heard(terms, self._gateway.place(terms, SLOW_CALL_SECONDS))
                if placed.outcome == "accepted" and placed.order is not None:
                    return await self._answered(order, placed, trace)
                code = placed.code if placed.outcome == "refused" else None
            # Before asking: what the exchange still hid then, may be seen once the answer is here.
            asked_at = datetime.now(UTC)
            question = QueryRequest(order.order_id)
            asked = await trace.heard(question, self._gateway.query(question, SLOW_CALL_SECONDS))
            if asked.outcome == "found" and asked.order is not None:
                return await self._answered(order, asked, trace, code)
            proof_at = order.send_by + timedelta(seconds=VISIBILITY_SECONDS)
            if asked.outcome == "absent" and asked_at >= proof_at:
                burial = CancelRequest(order.order_id, None)
                buried = await trace.heard(burial, self._gateway.cancel(burial, SLOW_CALL_SECONDS))
                if buried.outcome == "absent":
                    return await self._no_more(order, booking.fail, trace)
                if buried.order is not None:
                    return await self._answered(order, buried, trace)
            raise _try_again(asked)

    @activity.defn
    async def send_cancel(self, key: OrderKey) -> OrderState:
        """Ask the exchange to end a `pending_cancel` order; fails while there is no answer."""
        order, kept = await self._read(key.order_id, key.user_id)
        if order.status is not OrderStatus.PENDING_CANCEL or order.end_status is not None:
            return state_of(order, kept)
        async with self._traced(order) as trace:
            wish = CancelRequest(order.order_id, order.external_order_id)
            reply = await trace.heard(wish, self._gateway.cancel(wish, SLOW_CALL_SECONDS))
            over = reply.order if reply.outcome in ("cancelled", "too-late") else None
            if over is not None and over.status != "open":
                return await self._adopt_external(order, over, trace)
            if reply.outcome == "absent":
                return await self._no_more(order, booking.fail, trace)
            if reply.outcome == "refused":
                return await self._refuse_cancel(order, reply, trace)
            raise _try_again(reply)

    async def _read(self, order_id: str, user_id: str) -> tuple[Order, Reply | None]:
        stored = await self._orders.read(user_id, order_id)
        if stored is None:
            raise ApplicationError(f"no order {order_id}", non_retryable=True)
        return stored.order, stored.reply

    @asynccontextmanager
    async def _traced(self, order: Order) -> AsyncIterator[Trace]:
        """The trace of an attempt; one that learned nothing is kept as a note."""
        trace = Trace()
        try:
            yield trace
        except ApplicationError:
            await self._note(order, trace)
            raise

    async def _note(self, order: Order, trace: Trace) -> None:
        if trace.is_worth_a_note:
            await self._orders.note_attempt(order, actor=EXCHANGE, trace=trace.detail)

    async def _answered(
        self, order: Order, reply: GatewayReply, trace: Trace, code: str | None = None
    ) -> OrderState:
        """Adopt the order of an answer; fails, to be retried, while that does not settle how it
        goes on: an `ioc` order that the exchange has not let trade yet.
        """
        if reply.order is None:
            raise _try_again(reply)
        state = await self._adopt_external(order, reply.order, trace, code)
        if state.unanswered:
            raise _try_again(reply)
        return state

    async def _adopt_external(
        self, order: Order, external: ExternalOrder, trace: Trace, code: str | None = None
    ) -> OrderState:
        """Write down what the exchange says the order is; `code` says why it is rejected."""
        if external.status == "rejected":
            return await self._refuse(order, code or external.reason, trace)
        async with self._transaction(order, trace) as books:
            current = _present(books)
            if current.withdrawn_shares != order.withdrawn_shares:
                # The answer may be from before a bust: its count would be waited for, for ever.
                raise _try_again(GatewayReply("unknown", code="busted-meanwhile"))
            mapped = current.external_order_id is None
            current = await adopt_external(books, external)
        if mapped:
            await self._notices.route_known(external.external_order_id)
        return await self._told(books, current, trace)

    def _transaction(self, order: Order, trace: Trace) -> "AbstractAsyncContextManager[OpenBooks]":
        return self._orders.transaction(order.user_id, order.order_id, trace=trace.detail)

    async def _refuse(self, order: Order, code: str | None, trace: Trace) -> OrderState:
        verdict = partial(booking.refuse, code=code or "refused-by-exchange")
        return await self._no_more(order, verdict, trace)

    async def _no_more(self, order: Order, verdict: Verdict, trace: Trace) -> OrderState:
        """Nothing of the order will trade any more. `verdict` says what a pending one becomes; one
        that the customer wanted gone, or that the exchange once had, is `cancelled` with what is
        booked of it.
        """
        async with self._transaction(order, trace) as books:
            current = _present(books)
            now = datetime.now(UTC)
            if current.status is OrderStatus.PENDING:
                current = await books.store(verdict(current, books.books, at=now), actor=EXCHANGE)
            elif _wants_an_end(current):
                reason = "cancelled-before-sent"
                if current.external_order_id is not None:
                    reason = "unknown-at-exchange"
                    activity.logger.error(f"the exchange forgot order {current.order_id}")
                cancelled, booked_shares = OrderStatus.CANCELLED, current.executed_shares
                change = booking.end(current, books.books, cancelled, booked_shares, reason, now)
                current = await books.store(change, actor=EXCHANGE)
        return await self._told(books, current, trace)

    async def _refuse_cancel(self, order: Order, reply: GatewayReply, trace: Trace) -> OrderState:
        """The exchange keeps the order: it is live again."""
        mapped = None
        async with self._transaction(order, trace) as books:
            current = _present(books)
            if current.status is OrderStatus.PENDING_CANCEL and current.end_status is None:
                if current.external_order_id is None and reply.order is not None:
                    mapped = reply.order.external_order_id
                    current = await acknowledge(books, mapped)
                change = booking.refuse_cancel(
                    current, books.books, reply.code or "refused", datetime.now(UTC)
                )
                current = await books.store(change, actor=EXCHANGE)
        if mapped is not None:
            await self._notices.route_known(mapped)
        return await self._told(books, current, trace)

    async def _told(self, books: "OpenBooks", order: Order, trace: Trace) -> OrderState:
        if books.seq is None:
            await self._note(order, trace)
        else:
            await self._notices.order_changed(order.user_id, books.seq)
        reply = books.reply
        if reply is None:
            stored = await self._orders.read(order.user_id, order.order_id)
            reply = stored.reply if stored else None
        return state_of(order, reply)


def _wants_an_end(order: Order) -> bool:
    """True while only the exchange can say how an order that is not `pending` ends."""
    asked = order.status is OrderStatus.PENDING_CANCEL or order.awaits_answer
    return asked and order.end_status is None


def _present(books: "OpenBooks") -> Order:
    if books.order is None:
        raise ApplicationError("the order's row is gone", non_retryable=True)
    return books.order


def _unknown(reply: GatewayReply) -> str:
    return f"{reply.outcome}: {reply.code or ''} {reply.reason or ''}".strip()


def _try_again(reply: GatewayReply) -> ApplicationError:
    """An answer that decides nothing: ask again after a pause that grows, and differs each time."""
    return ApplicationError(
        _unknown(reply),
        type="OutcomeUnknown",
        next_retry_delay=timedelta(seconds=UNKNOWN.pause_seconds(activity.info().attempt)),
        # Expected while the exchange is away: no stack trace a try.
        category=ApplicationErrorCategory.BENIGN,
    )
