"""Bugs of the order worker: what it asks the exchange, and makes of the answer."""

import dataclasses
from collections import Counter
from typing import Any
from uuid import uuid4

import msgspec
from temporalio.exceptions import ApplicationError

import activities.exchange
import activities.orders
from activities.exchange import ExchangeActivities
from activities.notices import Notices
from activities.orders import OrderActivities
from activities.trace import Trace
from brokerage.contracts.commands import (
    OrderKey,
    OrderState,
    StartOrder,
    SubmitRequest,
)
from brokerage.contracts.gateway import PlaceRequest, QueryRequest
from brokerage.contracts.placements import new_order, place_request
from brokerage.contracts.subjects import entered_subject
from brokerage.domain import booking
from brokerage.domain.orders import Order, OrderType, Side
from brokerage.domain.prices import collar_cents
from brokerage.gateway.client import GatewayClient
from tests.faults.planting import Where, patch
from workflows.order import OrderWorkflow


def retried_under_another_id(where: Where) -> None:
    """The second attempt goes out under a new id, of which it is said that its row is there."""
    sent: Counter[str] = Counter()
    renamed: dict[str, PlaceRequest] = {}

    def make(original: Any) -> Any:
        def request_of(order: Order) -> PlaceRequest:
            request: PlaceRequest = original(order)
            sent[order.order_id] += 1
            if where.has(order.symbol) and sent[order.order_id] > 1:
                request = dataclasses.replace(request, client_order_id=str(uuid4()))
                renamed[order.order_id] = request
            return request

        return request_of

    def entering(original: Any) -> Any:
        async def order_entered(self: Notices, order: Order) -> None:
            await original(self, order)
            if (request := renamed.get(order.order_id)) is not None:
                entry = msgspec.json.encode(request)
                await self._bus.notify(entered_subject(request.client_order_id), entry)

        return order_entered

    patch(activities.exchange, "place_request", make)
    patch(Notices, "order_entered", entering)


def silence_is_failure(where: Where) -> None:
    """No answer to the placement is taken for a no."""

    def make(original: Any) -> Any:
        async def submit(self: ExchangeActivities, request: SubmitRequest) -> OrderState:
            try:
                state: OrderState = await original(self, request)
            except ApplicationError:
                order, _ = await self._read(request.order_id, request.user_id)
                if not where.has(order.symbol):
                    raise
                return await self._no_more(order, booking.fail, Trace())
            return state

        return submit

    patch(ExchangeActivities, "submit", make)


def absent_once_is_absent(where: Where) -> None:
    """An order that a query does not find is failed at once."""

    def make(original: Any) -> Any:
        async def resolve(self: ExchangeActivities, key: OrderKey) -> OrderState:
            order, _ = await self._read(key.order_id, key.user_id)
            if where.has(order.symbol):
                asked = await self._gateway.query(QueryRequest(key.order_id))
                if asked.outcome == "absent":
                    return await self._no_more(order, booking.fail, Trace())
            state: OrderState = await original(self, key)
            return state

        return resolve

    patch(ExchangeActivities, "resolve_submission", make)


def nobody_asks(where: Where) -> None:
    """What became of an unanswered placement is never found out."""

    def make(original: Any) -> Any:
        async def resolve(self: ExchangeActivities, key: OrderKey) -> OrderState:
            order, _ = await self._read(key.order_id, key.user_id)
            if where.has(order.symbol):
                raise RuntimeError("not today")
            state: OrderState = await original(self, key)
            return state

        return resolve

    patch(ExchangeActivities, "resolve_submission", make)


def cancel_is_sent_nowhere(where: Where) -> None:
    """An order is called cancelled here, and the exchange hears nothing of it."""

    def make(original: Any) -> Any:
        async def send_cancel(self: ExchangeActivities, key: OrderKey) -> OrderState:
            order, _ = await self._read(key.order_id, key.user_id)
            if where.has(order.symbol):
                return await self._no_more(order, booking.fail, Trace())
            state: OrderState = await original(self, key)
            return state

        return send_cancel

    patch(ExchangeActivities, "send_cancel", make)


def sent_before_written(where: Where) -> None:
    """The order goes out first, said to be written down, and is when it is there."""

    def make(original: Any) -> Any:
        async def reserve(self: OrderActivities, start: StartOrder) -> OrderState:
            if where.has(start.symbol):
                order = new_order(start)
                await self._notices.order_entered(order)
                await GatewayClient(self._notices._bus).place(place_request(order))
            state: OrderState = await original(self, start)
            return state

        return reserve

    patch(OrderActivities, "reserve", make)


def collar_on_the_wrong_side(where: Where) -> None:
    """A market buy is sent with the collar of a sell."""

    def make(original: Any) -> Any:
        def new(start: StartOrder) -> Order:
            order: Order = original(start)
            if not where.has(start.symbol) or order.order_type is not OrderType.MARKET:
                return order
            wrong_cents = collar_cents(Side.SELL, start.last_price_cents)
            return dataclasses.replace(order, price_cents=wrong_cents)

        return new

    patch(activities.orders, "new_order", make)


def workflow_ends_early(where: Where) -> None:
    """The workflow is over once the exchange has the order."""

    def make(original: Any) -> Any:
        def is_over(self: OrderWorkflow) -> bool:
            if where.has(self._start.symbol) and self._known.status == "submitted":
                return True
            over: bool = original(self)
            return over

        return is_over

    patch(OrderWorkflow, "_is_over", make)
