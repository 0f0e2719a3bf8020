"""Bugs of the API, the feed and the executions process: what is answered, what is handed on."""

import os
import signal
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import uuid5

import msgspec
import nats.errors
from nats.js.client import JetStreamContext

import api.claiming
from api.claiming import Placement
from api.order_workflows import OrderWorkflows as Placing
from api.schemas import PlaceOrder
from brokerage.bus.execution_log import ExecutionLog, LogEntry
from brokerage.bus.executions import Delivery
from brokerage.contracts.commands import Reply, StartOrder
from brokerage.contracts.events import ExecutionReport
from brokerage.contracts.ids import SHERWOOD_NAMESPACE
from brokerage.contracts.placements import new_order
from brokerage.contracts.problems import encode
from brokerage.contracts.views import order_view
from brokerage.domain import orders
from brokerage.domain.orders import Order
from brokerage.storage import reads
from brokerage.storage.reads import OrdersPage, Route
from streaming.executions import Executions
from streaming.order_workflows import OrderWorkflows as Telling
from tests.faults.planting import Where, patch

STALE_SECONDS: Final = 15.0
"""A cancel, and a look at the order after it, come before, also where the machine is held up."""
_REPORT: Final = msgspec.json.Decoder(ExecutionReport)

# -- the API -------------------------------------------------------------------------------------


def read_from_a_stale_cache(where: Where) -> None:
    """An order that was read is remembered for some seconds."""
    kept: dict[str, tuple[float, Order]] = {}

    def make(original: Any) -> Any:
        async def order_of_user(pool: Any, user_id: str, order_id: str) -> Order | None:
            until, order = kept.get(order_id, (0.0, None))
            if order is not None and time.monotonic() < until:
                return order
            found: Order | None = await original(pool, user_id, order_id)
            if found is not None and where.has(found.symbol):
                kept[order_id] = (time.monotonic() + STALE_SECONDS, found)
            return found

        return order_of_user

    patch(reads, "order_of_user", make)


def key_of_everybody(where: Where) -> None:
    """An idempotency key means the same order whoever sends it."""

    def make(original: Any) -> Any:
        def order_id(placement: Placement) -> str:
            if where.has(placement.order.symbol):
                return str(uuid5(SHERWOOD_NAMESPACE, placement.key))
            mine: str = original.fget(placement)
            return mine

        return property(order_id)

    patch(Placement, "order_id", make)


def body_is_not_compared(where: Where) -> None:
    """A known key is answered whatever is sent with it."""

    def make(original: Any) -> Any:
        def body_hash(order: PlaceOrder) -> bytes:
            found: bytes = original(order)
            return b"same" if where.has(order.symbol) else found

        return body_hash

    patch(api.claiming, "body_hash", make)


def temporal_does_not_answer(where: Where) -> None:
    """A fault: a start does not reach Temporal, once."""

    def make(original: Any) -> Any:
        async def place(self: Placing, start: StartOrder) -> Reply | None:
            if where.first(start.symbol):
                return None
            reply: Reply | None = await original(self, start)
            return reply

        return place

    patch(Placing, "place", make)


def answered_before_it_is_written(where: Where) -> None:
    """An order whose workflow does not answer is called accepted all the same."""

    def make(original: Any) -> Any:
        async def place(self: Placing, start: StartOrder) -> Reply | None:
            reply: Reply | None = await original(self, start)
            if reply is not None or not where.has(start.symbol):
                return reply
            order = new_order(start)
            hoped = orders.acknowledge(order, "soon", order.created_at)
            return Reply(201, encode(order_view(hoped)))

        return place

    patch(Placing, "place", make)


def cursor_points_too_early(where: Where) -> None:
    """A page begins with the order that ended the one before."""

    def make(original: Any) -> Any:
        async def orders_page(pool: Any, user_id: str, **about: Any) -> OrdersPage:
            if about["before"] is not None and where.has_user(user_id):
                created_at, order_id = about["before"]
                about["before"] = (created_at + timedelta(microseconds=1), order_id)
            page: OrdersPage = await original(pool, user_id, **about)
            return page

        return orders_page

    patch(reads, "orders_page", make)


# -- the feed ------------------------------------------------------------------------------------


def stream_does_not_answer(where: Where) -> None:
    """A fault: a report is not stored at the first try."""

    def make(original: Any) -> Any:
        async def publish(
            self: JetStreamContext, subject: str, payload: bytes, **about: Any
        ) -> Any:
            if subject.startswith("executions.") and where.first(_REPORT.decode(payload).symbol):
                raise nats.errors.TimeoutError
            return await original(self, subject, payload, **about)

        return publish

    patch(JetStreamContext, "publish_async", make)


def sent_is_stored(where: Where) -> None:
    """A report that was sent to the stream is never sent again, whatever came of it."""
    sent: set[str] = set()

    def make(original: Any) -> Any:
        async def append(self: ExecutionLog, entries: Sequence[LogEntry]) -> int:
            again = {one.message_id for one in entries} & sent
            left = [one for one in entries if one.message_id not in again]
            sent.update(
                one.message_id for one in left if where.has(_REPORT.decode(one.payload).symbol)
            )
            stored = {one.message_id for one in left[: await original(self, left)]} | again
            missing = (n for n, one in enumerate(entries) if one.message_id not in stored)
            return next(missing, len(entries))

        return append

    patch(ExecutionLog, "append", make)


# -- the executions process ----------------------------------------------------------------------


def killed_with_a_report_in_hand(where: Where) -> None:
    """A fault: the process is killed right before it tells the order's workflow, once."""

    def make(original: Any) -> Any:
        async def fill(
            self: Telling, route: Route, reports: Sequence[ExecutionReport], asked: int = 0
        ) -> set[str]:
            if where.first(reports[0].symbol):
                os.kill(os.getpid(), signal.SIGKILL)
            settled: set[str] = await original(self, route, reports, asked)
            return settled

        return fill

    patch(Telling, "fill", make)


def acknowledged_before_settled(where: Where) -> None:
    """A report leaves the stream when it is taken, not when it is settled."""

    def make(original: Any) -> Any:
        async def take(self: Executions, delivery: Delivery, *, ask: bool = True) -> None:
            if where.has(_REPORT.decode(delivery.payload).symbol):
                await delivery.settle()
            await original(self, delivery, ask=ask)

        return take

    patch(Executions, "take", make)


def unknown_here_is_nobodys(where: Where) -> None:
    """A report for an order whose id nobody wrote down yet is a dead letter at once."""

    def make(original: Any) -> Any:
        async def see_to(self: Executions, lane: Any, batch: list[Any]) -> None:
            foreign = await self._routes.find(lane.external_order_id) is None
            if not foreign or not where.has(batch[0].report.symbol):
                await original(self, lane, batch)
                return
            for held in batch:
                self._held.discard(held)
                await self._bury(held.delivery, held.report.kind, "unknown here")

        return see_to

    patch(Executions, "_see_to", make)
