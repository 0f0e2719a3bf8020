"""Bugs that somebody could write one day. The seeds must find each of them."""

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final

from activities.exchange import ExchangeActivities
from activities.orders import OrderActivities, state_of
from activities.trace import Trace
from brokerage.contracts.commands import (
    OrderKey,
    OrderState,
    SettleRequest,
    SettleResult,
    SubmitRequest,
)
from brokerage.contracts.gateway import CancelRequest, GatewayReply, PlaceRequest, QueryRequest
from brokerage.contracts.placements import place_request
from brokerage.domain import booking
from brokerage.domain.orders import OrderStatus
from brokerage.gateway.batching import PlacementBatcher
from brokerage.gateway.client import CALL_SECONDS, GatewayClient
from brokerage.gateway.exchange import ExchangeClient
from brokerage.storage.writes import OrderWriter, StoredOrder
from tests.unit.outcomes.case import Code
from tests.unit.outcomes.virtual_time import wall


class AbsentOnceIsAbsent(ExchangeActivities):
    """Calls an order failed as soon as a query does not find it."""

    async def resolve_submission(self, key: OrderKey) -> OrderState:
        asked = await self._gateway.query(QueryRequest(key.order_id))
        if asked.outcome == "absent":
            order, _ = await self._read(key.order_id, key.user_id)
            return await self._no_more(order, booking.fail, Trace())
        return await super().resolve_submission(key)


class AbsentIsProof(ExchangeActivities):
    """Asks late enough, and does not have the exchange promise to refuse the order."""

    async def resolve_submission(self, key: OrderKey) -> OrderState:
        client = self._gateway

        class Believing(GatewayClient):
            query = client.query
            place = client.place

            def __init__(self) -> None:
                pass

            async def cancel(
                self, request: CancelRequest, timeout_seconds: float = CALL_SECONDS
            ) -> GatewayReply:
                return GatewayReply("absent")

        believing = ExchangeActivities(self._orders, Believing(), self._notices)
        return await believing.resolve_submission(key)


class AnyNoIsFinal(ExchangeActivities):
    """Takes the gateway's own no (too late, overloaded), and one to a repeat, for the last word."""

    async def submit(self, request: SubmitRequest) -> OrderState:
        order, kept = await self._read(request.order_id, request.user_id)
        if order.status is not OrderStatus.PENDING:
            return state_of(order, kept)
        reply = await self._gateway.place(place_request(order))
        if reply.outcome in ("declined", "refused"):
            return await self._refuse(order, reply.code, Trace())
        return await super().submit(request)


class SilenceIsRefusal(ExchangeClient):
    """Takes a 5xx, a timeout, a reset for a no."""

    async def place(self, requests: Sequence[PlaceRequest]) -> list[GatewayReply]:
        replies = await super().place(requests)
        return [
            GatewayReply("refused", code="x") if reply.outcome == "unknown" else reply
            for reply in replies
        ]


class SilenceIsCancelled(GatewayClient):
    """Takes an unanswered cancel for one that worked."""

    async def cancel(
        self, request: CancelRequest, timeout_seconds: float = CALL_SECONDS
    ) -> GatewayReply:
        reply = await super().cancel(request, timeout_seconds)
        return GatewayReply("absent") if reply.outcome == "unknown" else reply


class SentLate(PlacementBatcher):
    """A gateway that does not look at `send_by`."""

    def __init__(self, send: Callable[..., object], now_ms: Callable[[], int]) -> None:
        super().__init__(send, lambda: 0)  # type: ignore[arg-type]


class NewDeadlineEachTime(OrderWriter):
    """Gives every attempt ten seconds of its own."""

    async def read(self, user_id: str, order_id: str) -> StoredOrder | None:
        stored = await super().read(user_id, order_id)
        if stored is None:
            return None
        later = wall() + timedelta(seconds=10)
        return dataclasses.replace(stored, order=dataclasses.replace(stored.order, send_by=later))


class OncePerDelivery(OrderActivities):
    """Knows a report by its delivery, and not by what the exchange calls it."""

    deliveries = itertools.count()

    async def settle(self, request: SettleRequest) -> SettleResult:
        delivered = [
            dataclasses.replace(report, report_id=f"{report.report_id}-{next(self.deliveries)}")
            for report in request.reports
        ]
        settled = await super().settle(dataclasses.replace(request, reports=delivered))
        return SettleResult([report.report_id for report in request.reports], settled.state)


class CancelSentNowhere(ExchangeActivities):
    """Calls an order cancelled here, and tells the exchange nothing."""

    async def send_cancel(self, key: OrderKey) -> OrderState:
        order, _ = await self._read(key.order_id, key.user_id)
        if order.status is not OrderStatus.PENDING_CANCEL:
            return await super().send_cancel(key)
        return await self._no_more(order, booking.fail, Trace())


class FreshEachTime(ExchangeActivities):
    """Sends under a new id when it repeats."""

    async def submit(self, request: SubmitRequest) -> OrderState:
        order, _ = await self._read(request.order_id, request.user_id)
        if request.repeated and order.status is OrderStatus.PENDING:
            placed = dataclasses.replace(
                place_request(order), client_order_id=f"{order.order_id}-2"
            )
            await self._gateway.place(placed)
        return await super().submit(request)


@dataclasses.dataclass(frozen=True)
class Planted:
    """A bug, and what the seed that finds it says."""

    name: str
    code: Code
    found_as: str

    def __str__(self) -> str:
        return self.name


PLANTED: Final = (
    Planted("absent once is absent", Code(exchange=AbsentOnceIsAbsent), "failed, and not {"),
    Planted("absent is proof", Code(exchange=AbsentIsProof), "would still accept it"),
    Planted("any no is final", Code(exchange=AnyNoIsFinal), "rejected, and not {"),
    Planted("asked too early", Code(visibility_seconds=-10), "cancelled, and nobody wanted that"),
    Planted("silence is refusal", Code(exchange_client=SilenceIsRefusal), "rejected, and not {"),
    Planted("silence is cancelled", Code(client=SilenceIsCancelled), "cancelled, and not {"),
    Planted("sent late", Code(batcher=SentLate), "sent an order after its send-by"),
    Planted("a new deadline each time", Code(writer=NewDeadlineEachTime), "after its send-by"),
    Planted("once per delivery", Code(orders=OncePerDelivery), "executed "),
    Planted("a cancel sent nowhere", Code(exchange=CancelSentNowhere), "cancelled, and not {"),
    Planted("a new id each time", Code(exchange=FreshEachTime), "sent under another id"),
)
