"""Bugs of the order worker: what it writes down."""

import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from itertools import count
from typing import Any

import activities.reports
import brokerage.storage.writes
from activities.orders import OrderActivities
from brokerage.contracts.commands import (
    SettleRequest,
    SettleResult,
)
from brokerage.contracts.events import ExecutionReport
from brokerage.domain import booking, orders
from brokerage.domain.booking import Books, Change
from brokerage.domain.ledger import LedgerAccount
from brokerage.domain.orders import Order
from brokerage.storage.writes import OpenBooks, OrderWriter
from tests.faults.planting import Where, patch


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
