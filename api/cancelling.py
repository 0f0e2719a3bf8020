"""Cancelling orders: ask their workflows, then read in their rows what became of them.

One order and all of them go the same way, within one deadline for the whole answer.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import structlog
from fastapi import Response

from api.bodies import json_response
from api.errors import RETRY_AFTER_SECONDS, ProblemError
from api.node import NodeState
from api.order_watch import OrderNotices, order_notices
from api.order_workflows import CancelAnswer
from brokerage.contracts.commands import CancelOrder
from brokerage.contracts.problems import PROBLEMS
from brokerage.contracts.views import order_view
from brokerage.domain.orders import Order, OrderStatus
from brokerage.runtime.tasks import TaskSet
from brokerage.storage import reads
from brokerage.storage.pool import DatabaseUnavailable

log = structlog.get_logger()

ONE_SECONDS: Final = 3.0
ALL_SECONDS: Final = 5.0
"""The whole of an answer: half of what our own client gives one attempt."""
LOOK_SECONDS: Final = 0.25
"""Notices come sooner; this is for those that are lost."""
ORDERS_MAX: Final = 100
"""Orders that one `DELETE /orders` sees to; the answer says if there are more."""
ASKED_AT_ONCE: Final = 8
"""Of one request: the places of a node are everybody's."""
LIVE: Final = frozenset({OrderStatus.SUBMITTED, OrderStatus.PARTIALLY_FILLED})


@dataclass(slots=True)
class Wish:
    """An order that shall go: its row as last read, and what its workflow said.

    `on_record`: the wish was seen to be written down. `kept`: and the order is live again.
    """

    order: Order
    answer: CancelAnswer = "unreached"
    on_record: bool = False
    kept: bool = False

    def look(self, order: Order, *, recorded: bool) -> None:
        """Take in a row that was read after `recorded` was known."""
        self.order = order
        self.on_record = self.on_record or recorded or order.status is OrderStatus.PENDING_CANCEL
        # Once the wish is on record, a live order is one that the exchange kept.
        self.kept = self.on_record and order.status in LIVE

    @property
    def decided(self) -> bool:
        """True when waiting longer changes nothing."""
        return self.kept or not self.order.is_open

    @property
    def problem(self) -> tuple[str, str] | None:
        """Code and detail of what stands between the order and its end; None if nothing does."""
        if self.kept:
            return "cancel-refused", "the exchange keeps the order"
        if not self.order.is_open:
            if self.order.status is OrderStatus.CANCELLED:
                return None
            return "too-late-to-cancel", f"the order is {self.order.status.value}"
        if self.answer == "unreached" and not self.on_record:
            # Nothing shows that the wish is on record: it is safe, and needed, to send it again.
            return "unavailable", "the cancel could not be recorded in time"
        return None

    @property
    def status(self) -> int:
        """Cancelled is 200, asked for is 202, all else is the problem's."""
        if self.problem is not None:
            return PROBLEMS[self.problem[0]].status
        return 202 if self.order.is_open else 200


async def cancel_order(node: NodeState, user_id: str, order_id: str, address: str) -> Response:
    """The answer to `DELETE /order/{id}`; raises `ProblemError` or what the parts raise when away.

    Cancelled is 200, another end 409, an exchange that has not answered yet 202.
    """
    order = await reads.order_of_user(node.pool, user_id, order_id)
    if order is None:
        raise order_not_found()
    [wish] = await _cancel(node, user_id, [order], address, ONE_SECONDS)
    view = order_view(wish.order)
    if wish.problem is not None:
        code, detail = wish.problem
        raise ProblemError(code, detail, order=view)
    return json_response({"ok": wish.status == 200, "order": view}, wish.status, _later([wish]))


async def cancel_orders(
    node: NodeState, user_id: str, symbol: str | None, address: str
) -> Response:
    """The answer to `DELETE /orders`: what became of each of the user's open orders, of one symbol
    or of all; raises what the parts raise when away.

    200 when all of them are cancelled, 207 otherwise. Who repeats the request comes round to every
    order, because those that nothing was done about for longest come first.
    """
    found = await reads.open_orders(node.pool, user_id, symbol, limit=ORDERS_MAX + 1)
    wishes = await _cancel(node, user_id, found[:ORDERS_MAX], address, ALL_SECONDS)
    more = len(found) > ORDERS_MAX
    ok = not more and all(wish.status == 200 for wish in wishes)
    body = {"ok": ok, "items": [_item(wish) for wish in wishes], "more": more}
    return json_response(body, 200 if ok else 207, _later(wishes))


def order_not_found() -> ProblemError:
    """One body for unknown, foreign and malformed ids: it tells nothing about other users."""
    return ProblemError("order-not-found", "you have no such order")


async def _cancel(
    node: NodeState, user_id: str, orders: Sequence[Order], address: str, timeout_seconds: float
) -> list[Wish]:
    """What became of each order when all are decided, or when the time is up."""
    deadline = asyncio.get_running_loop().time() + timeout_seconds
    wishes = [Wish(order) for order in orders]
    open_wishes = {wish.order.order_id: wish for wish in wishes if not wish.decided}
    command = CancelOrder(actor=user_id, address=address)
    places = asyncio.Semaphore(ASKED_AT_ONCE)
    # Listen before asking: the answer may be there before the question returns.
    async with order_notices(node, user_id) as notices, TaskSet() as asking:
        for wish in open_wishes.values():
            asking.spawn(_ask(node, wish, command, places, notices), "cancel-order")
        while open_wishes:
            remaining_seconds = deadline - asyncio.get_running_loop().time()
            if remaining_seconds <= 0:
                break
            await notices.wait(min(LOOK_SECONDS, remaining_seconds))
            recorded = {key for key, wish in open_wishes.items() if wish.answer == "recorded"}
            try:
                rows = await reads.orders_of_user(node.pool, user_id, list(open_wishes))
            except DatabaseUnavailable as error:
                # What was seen so far still holds; there may be time for another look.
                log.info("cancels_not_looked_at", orders=len(open_wishes), cause=repr(error))
                continue
            for order in rows:
                wish = open_wishes[order.order_id]
                wish.look(order, recorded=order.order_id in recorded)
                if wish.decided:
                    del open_wishes[order.order_id]
    return wishes


async def _ask(
    node: NodeState,
    wish: Wish,
    command: CancelOrder,
    places: asyncio.Semaphore,
    notices: OrderNotices,
) -> None:
    order_id, user_id = wish.order.order_id, wish.order.user_id
    async with places:
        answer = await node.temporal.cancel(order_id, command)
        if answer == "no-workflow":
            try:
                order = await reads.order_of_user(node.pool, user_id, order_id)
            except DatabaseUnavailable as error:
                log.info("cancel_not_recorded", order_id=order_id, cause=repr(error))
                answer = "unreached"
            else:
                # It may have just ended, and its workflow with it.
                if order is not None and order.is_open:
                    answer = await node.temporal.adopt_and_cancel(order, command)
        # Not sooner: cut off in between, the wish has reached nobody yet.
        wish.answer = answer
    notices.wake()


def _item(wish: Wish) -> dict[str, object]:
    return {
        "id": wish.order.order_id,
        "status": wish.status,
        "ok": wish.status == 200,
        "code": wish.problem[0] if wish.problem is not None else None,
        "order": order_view(wish.order),
    }


def _later(wishes: Sequence[Wish]) -> dict[str, str]:
    """When to look again, if there is anything to wait for."""
    if any(wish.order.is_open for wish in wishes):
        return {"retry-after": str(RETRY_AFTER_SECONDS)}
    return {}
