"""Cancelling an order: ask its workflow, then read in the row what became of it."""

import asyncio
from typing import Final

from fastapi import Response

from api.bodies import json_response
from api.errors import RETRY_AFTER_SECONDS, ProblemError
from api.node import NodeState
from api.order_watch import order_notices
from api.order_workflows import CancelAnswer
from brokerage.contracts.commands import CancelOrder
from brokerage.contracts.views import order_view
from brokerage.domain.orders import Order, OrderStatus
from brokerage.storage import reads

WAIT_SECONDS: Final = 1.5
LOOK_SECONDS: Final = 0.1
LIVE: Final = frozenset({OrderStatus.SUBMITTED, OrderStatus.PARTIALLY_FILLED})


async def cancel_order(node: NodeState, user_id: str, order_id: str, address: str) -> Response:
    """The answer to `DELETE /order/{id}`; raises `ProblemError` or what the parts raise when away.

    Cancelled is 200, another end 409, an exchange that has not answered yet 202.
    """
    order = await _order(node, user_id, order_id)
    if not order.is_open:
        return _ended(order)
    command = CancelOrder(actor=user_id, address=address)
    # Listen before asking: the answer may be there before the question returns.
    async with order_notices(node, user_id) as notices:
        answer = await node.temporal.cancel(order_id, command)
        if answer == "no-workflow":
            order = await _order(node, user_id, order_id)
            if not order.is_open:
                return _ended(order)
            answer = await node.temporal.adopt_and_cancel(order_id, user_id, command)
        # Once the wish is on record, a live order is one that the exchange kept.
        on_record = answer == "recorded"
        deadline = asyncio.get_running_loop().time() + WAIT_SECONDS
        while True:
            order = await _order(node, user_id, order_id)
            on_record = on_record or order.status is OrderStatus.PENDING_CANCEL
            if not order.is_open:
                return _ended(order)
            if on_record and order.status in LIVE:
                raise ProblemError(
                    "cancel-refused", "the exchange keeps the order", order=order_view(order)
                )
            remaining_seconds = deadline - asyncio.get_running_loop().time()
            if remaining_seconds <= 0:
                return _undecided(order, answer)
            await notices.wait(min(LOOK_SECONDS, remaining_seconds))


async def _order(node: NodeState, user_id: str, order_id: str) -> Order:
    order = await reads.order_of_user(node.pool, user_id, order_id)
    if order is None:
        raise order_not_found()
    return order


def order_not_found() -> ProblemError:
    """One body for unknown, foreign and malformed ids: it tells nothing about other users."""
    return ProblemError("order-not-found", "you have no such order")


def _ended(order: Order) -> Response:
    if order.status is OrderStatus.CANCELLED:
        return json_response({"ok": True, "order": order_view(order)})
    raise ProblemError(
        "too-late-to-cancel", f"the order is {order.status.value}", order=order_view(order)
    )


def _undecided(order: Order, answer: CancelAnswer) -> Response:
    if answer == "unreached" and order.status is not OrderStatus.PENDING_CANCEL:
        # Nothing shows that the wish is on record: it is safe, and needed, to send it again.
        raise ProblemError("unavailable", "the cancel could not be recorded in time")
    headers = {"retry-after": str(RETRY_AFTER_SECONDS)}
    return json_response({"ok": False, "order": order_view(order)}, 202, headers)
