"""Placing an order, step by step: check, admit, start its workflow, answer.

Definitive answers are stored with the order and sent as they are stored, byte for byte. Everything
that may be different a second later (a stale feed, a part that is away) is answered without being
remembered against the key.
"""

from fastapi import Response

from api import claiming
from api.admissible import check_switch, check_terms, last_tick
from api.bodies import json_response
from api.claiming import Placement
from api.errors import RETRY_AFTER_SECONDS, ProblemError
from api.node import NodeState
from api.placement_metrics import REPLAYED, count_answer, count_failure
from api.schemas import PlaceOrder
from brokerage.contracts.commands import Reply, StartOrder
from brokerage.contracts.views import order_view
from brokerage.domain.orders import Order
from brokerage.runtime.logs import bind
from brokerage.runtime.tracing import describe
from brokerage.storage import admission, reads


async def place_order(node: NodeState, placement: Placement) -> Response:
    """The answer to `POST /order`; raises `ProblemError` or what the parts raise when away."""
    bind(order_id=placement.order_id)
    describe(**{"sherwood.order_id": placement.order_id})
    try:
        answer = await _answer(node, placement)
    except Exception as error:
        count_failure(error)
        raise
    count_answer(answer)
    return answer


async def _answer(node: NodeState, placement: Placement) -> Response:
    try:
        check_terms(node, placement.order)
        check_switch(node, placement.user_id, placement.order.symbol)
        tick = await last_tick(node, placement.order.symbol)
    except ProblemError as refusal:
        # A replay comes before a refusal that was not there when the order was placed.
        return await _known_answer(node, placement, refusal)
    if not node.temporal.has_room:
        full = ProblemError("overloaded", "too many placements are under way at this node")
        return await _known_answer(node, placement, full)
    with node.temporal.under_way():
        return await _admit(node, placement, tick.price_cents)


async def _admit(node: NodeState, placement: Placement, price_cents: int) -> Response:
    claim = await claiming.claim(node, placement, price_cents)
    if claim.reply is not None:
        return _reply_response(placement.order_id, claim.reply, replayed=True)
    # Who asks while the first attempt is under way shares its answer: that is no replay.
    reply = await node.temporal.place(
        StartOrder(
            order_id=placement.order_id,
            user_id=placement.user_id,
            symbol=placement.order.symbol,
            side=placement.order.position,
            shares=placement.order.num_shares,
            limit_price_cents=placement.order.price_in_cents,
            time_in_force=placement.order.time_in_force,
            idempotency_key=placement.key,
            claimed_at_ms=claim.claimed_at_ms,
            last_price_cents=claim.last_price_cents,
            address=placement.address,
        )
    )
    if reply is None:
        return await _answer_of_row(node, placement, replayed=False)
    return _reply_response(placement.order_id, reply, replayed=False)


async def _known_answer(node: NodeState, placement: Placement, refusal: ProblemError) -> Response:
    """What this key has already earned; raises `refusal` if that is nothing."""
    order = await reads.order_of_user(node.pool, placement.user_id, placement.order_id)
    if order is None:
        raise refusal
    if not _same_terms(order, placement.order):
        raise claiming.key_reused()
    return await _answer_of_row(node, placement, replayed=True)


async def _answer_of_row(node: NodeState, placement: Placement, *, replayed: bool) -> Response:
    """The stored reply, else the order as it stands, else "repeat with the same key"."""
    reply = await admission.stored_reply(node.pool, placement.user_id, placement.key)
    if reply is not None:
        return _reply_response(placement.order_id, reply, replayed=replayed)
    order = await reads.order_of_user(node.pool, placement.user_id, placement.order_id)
    if order is None:
        raise ProblemError("unavailable", "the order is not on record yet; nothing was answered")
    headers = {**_location(order.order_id), "retry-after": str(RETRY_AFTER_SECONDS)}
    return json_response(order_view(order), 202, headers)


def _reply_response(order_id: str, reply: Reply, *, replayed: bool) -> Response:
    headers = _location(order_id) if reply.status < 300 else {}
    if replayed:
        headers[REPLAYED] = "true"
    media_type = "application/json" if reply.status < 300 else "application/problem+json"
    return Response(reply.body, reply.status, headers, media_type)


def _location(order_id: str) -> dict[str, str]:
    return {"location": f"/order/{order_id}"}


def _same_terms(order: Order, asked: PlaceOrder) -> bool:
    return (
        order.side.value == asked.position
        and order.symbol == asked.symbol
        and order.limit_price_cents == asked.price_in_cents
        and order.shares == asked.num_shares
        and order.time_in_force.value == asked.time_in_force
    )
