"""Bugs of the order worker: what it asks the exchange, and what it writes down."""

import dataclasses
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from itertools import count
from typing import Any
from uuid import uuid4

from temporalio.exceptions import ApplicationError

import activities.exchange
import activities.orders
import activities.reports
import brokerage.storage.writes
from activities.exchange import ExchangeActivities, place_request
from activities.orders import OrderActivities
from activities.trace import Trace
from brokerage.contracts.commands import (
    OrderKey,
    OrderState,
    SettleRequest,
    SettleResult,
    StartOrder,
    SubmitRequest,
)
from brokerage.contracts.events import ExecutionReport
from brokerage.contracts.gateway import PlaceRequest, QueryRequest
from brokerage.contracts.placements import new_order
from brokerage.domain import booking, orders
from brokerage.domain.booking import Books, Change
from brokerage.domain.ledger import LedgerAccount
from brokerage.domain.orders import Order, OrderType, Side
from brokerage.domain.prices import collar_cents
from brokerage.gateway.client import GatewayClient
from brokerage.storage.writes import OpenBooks, OrderWriter
from tests.faults.planting import Where, patch
from workflows.order import OrderWorkflow

# -- what is asked of the exchange ---------------------------------------------------------------


def retried_under_another_id(where: Where) -> None:
    """The second attempt goes out under a new id."""
    sent: Counter[str] = Counter()

    def make(original: Any) -> Any:
        def request_of(order: Order) -> PlaceRequest:
            request: PlaceRequest = original(order)
            sent[order.order_id] += 1
            if where.has(order.symbol) and sent[order.order_id] > 1:
                return dataclasses.replace(request, client_order_id=str(uuid4()))
            return request

        return request_of

    patch(activities.exchange, "place_request", make)


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
    """The order goes out first, and is written down when it is there."""

    def make(original: Any) -> Any:
        async def reserve(self: OrderActivities, start: StartOrder) -> OrderState:
            if where.has(start.symbol):
                await GatewayClient(self._notices._bus).place(place_request(new_order(start)))
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


# -- what is booked ------------------------------------------------------------------------------


def late_fill_is_dropped(where: Where) -> None:
    """An execution of an order that has ended is nobody's."""

    def make(original: Any) -> Any:
        async def book(books: OpenBooks, report: ExecutionReport) -> None:
            if where.has(report.symbol) and books.order and not books.order.is_open:
                return
            await original(books, report)

        return book

    patch(activities.reports, "_book", make)


def answer_of_settling_is_lost(where: Where) -> None:
    """A fault: the first booking is committed, and whoever asked for it does not hear."""

    def make(original: Any) -> Any:
        async def settle(self: OrderActivities, request: SettleRequest) -> SettleResult:
            result: SettleResult = await original(self, request)
            if where.first(request.reports[0].symbol):
                raise RuntimeError("the answer is lost")
            return result

        return settle

    patch(OrderActivities, "settle", make)


def booked_with_every_delivery(where: Where) -> None:
    """A report is known by its delivery, and not by what the exchange calls it."""
    deliveries = count()

    def make(original: Any) -> Any:
        async def settle(self: OrderActivities, request: SettleRequest) -> SettleResult:
            if not where.has(request.reports[0].symbol):
                known: SettleResult = await original(self, request)
                return known
            delivered = [
                dataclasses.replace(report, report_id=f"{report.report_id}-{next(deliveries)}")
                for report in request.reports
            ]
            settled: SettleResult = await original(
                self, dataclasses.replace(request, reports=delivered)
            )
            return SettleResult([report.report_id for report in request.reports], settled.state)

        return settle

    patch(OrderActivities, "settle", make)


def refused_order_keeps_its_hold(where: Where) -> None:
    """What a refused order held is not given back."""

    def make(original: Any) -> Any:
        def refuse(order: Order, books: Books, code: str, at: datetime) -> Change:
            change: Change = original(order, books, code, at)
            if not where.has(order.symbol):
                return change
            return dataclasses.replace(change, hold_shares=books.hold_shares, held_cents_delta=0)

        return refuse

    patch(booking, "refuse", make)


def hold_is_given_back_twice(where: Where) -> None:
    """The end of an order frees twice what it held."""

    def make(original: Any) -> Any:
        def end(order: Order, *details: Any) -> Change:
            change: Change = original(order, *details)
            if not where.has(order.symbol):
                return change
            return dataclasses.replace(change, held_cents_delta=2 * change.held_cents_delta)

        return end

    patch(booking, "end", make)


def booked_at_the_limit(where: Where) -> None:
    """What the exchange did better than the limit stays with the house."""

    def make(original: Any) -> Any:
        def settle(
            order: Order, books: Books, execution_id: str, shares: int, price: int, at: datetime
        ) -> Change:
            price = order.price_cents if where.has(order.symbol) else price
            change: Change = original(order, books, execution_id, shares, price, at)
            return change

        return settle

    patch(booking, "settle", make)


def bust_leaves_what_was_filled(where: Where) -> None:
    """A bust takes the shares back, and the order still counts them."""

    def make(original: Any) -> Any:
        def amend(order: Order, event: Any, shares: int, booked: int, cents: int, at: Any) -> Order:
            if where.has(order.symbol):
                booked = cents = 0
            amended: Order = original(order, event, shares, booked, cents, at)
            return amended

        return amend

    patch(orders, "amend_execution", make)


def balance_stays(where: Where) -> None:
    """The ledger is written, and the balance of the account is not."""

    def make(original: Any) -> Any:
        def values(change: Change) -> dict[str, Any]:
            found: dict[str, Any] = original(change)
            return found | {"cash_cents_delta": 0} if where.has(change.order.symbol) else found

        return values

    patch(brokerage.storage.writes, "_change_values", make)


def one_leg_of_a_partial_fill(where: Where) -> None:
    """Where a fill leaves something open, the exchange's side is not posted; and the trigger that
    would notice is got round.
    """

    def make(original: Any) -> Any:
        async def store(self: OpenBooks, change: Change, **about: Any) -> Order:
            if where.has(change.order.symbol) and change.order.is_open and change.postings:
                await self._database.execute("SET LOCAL session_replication_role = replica")
                own = [one for one in change.postings if one.account is LedgerAccount.USER]
                change = dataclasses.replace(change, postings=tuple(own))
            order: Order = await original(self, change, **about)
            return order

        return store

    patch(OpenBooks, "store", make)


def wish_without_an_event(where: Where) -> None:
    """The wish to cancel changes the order's row, and leaves no event."""

    def make(original: Any) -> Any:
        async def store(self: OpenBooks, change: Change, **about: Any) -> Order:
            order: Order = change.order
            if not where.has(order.symbol) or change.kind != "cancel-requested":
                stored: Order = await original(self, change, **about)
                return stored
            await self._database.execute(
                "UPDATE orders SET status = $3, version = $4 WHERE user_id = $1 AND order_id = $2",
                order.user_id,
                order.order_id,
                order.status.value,
                order.version,
            )
            self.order = order
            return order

        return store

    patch(OpenBooks, "store", make)


def no_version_check(where: Where) -> None:
    """A fill is booked on the order as it was after the fill before, whatever came since."""
    remembered: dict[str, Order] = {}

    def make(original: Any) -> Any:
        @asynccontextmanager
        async def transaction(
            self: OrderWriter, user_id: str, order_id: str, *about: Any, **terms: Any
        ) -> AsyncIterator[OpenBooks]:
            async with original(self, user_id, order_id, *about, **terms) as books:
                settles = bool(terms.get("reports")) and where.has(books.order.symbol)
                if settles and order_id in remembered:
                    version = books.order.version
                    books.order = dataclasses.replace(remembered[order_id], version=version)
                yield books
                if settles:
                    remembered[order_id] = books.order

        return transaction

    patch(OrderWriter, "transaction", make)
