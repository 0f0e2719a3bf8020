"""Placing and cancelling."""

import msgspec
from fastapi import APIRouter
from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from exchange.desk import Desk, Refused, answer, check_name, member_of, read
from exchange.faults import Call, RuleRequest
from exchange.inputs import Cancel, CancelAll, Input, Place
from exchange.protocol import (
    BATCH_MAX,
    Cancellation,
    CancelReply,
    MassCancellation,
    Placement,
    PlacementBatch,
    PlacementBatchReply,
    PlacementReply,
)

_placement = msgspec.json.Decoder(Placement)
_batch = msgspec.json.Decoder(PlacementBatch)
_cancellation = msgspec.json.Decoder(Cancellation)
_mass_cancellation = msgspec.json.Decoder(MassCancellation)


def order_routes(desk: Desk) -> APIRouter:
    """Return the routes that move orders."""
    router = APIRouter(tags=["orders"])
    _add_placing(router, desk, desk.settings.body_bytes_max)
    _add_cancelling(router, desk, desk.settings.body_bytes_max)
    return router


def _add_placing(router: APIRouter, desk: Desk, bytes_max: int) -> None:
    @router.post("/v1/orders", summary="Place one order")
    async def place(request: Request) -> Response:
        member = member_of(request, desk, "place")
        placement = await read(request, _placement, bytes_max)

        async def carry_out() -> Response:
            return answer((await _place(desk, member, [placement]))[0])

        return await desk.strike(request, _calls(member, [placement]), carry_out)

    @router.post("/v1/orders/batch", summary="Place up to 50 orders")
    async def place_batch(request: Request) -> Response:
        member = member_of(request, desk, "place-batch")
        batch = await read(request, _batch, bytes_max)
        if not 1 <= len(batch.orders) <= BATCH_MAX:
            raise Refused(422, "invalid-body", f"a batch has 1 to {BATCH_MAX} orders")

        async def carry_out() -> Response:
            return answer(PlacementBatchReply(await _place(desk, member, batch.orders)))

        return await desk.strike(request, _calls(member, batch.orders), carry_out)


def _add_cancelling(router: APIRouter, desk: Desk, bytes_max: int) -> None:
    @router.post("/v1/cancels", summary="Cancel one order")
    async def cancel(request: Request) -> Response:
        member = member_of(request, desk, "cancel")
        named = await read(request, _cancellation, bytes_max)
        if (named.client_order_id is None) == (named.order_id is None):
            raise Refused(422, "invalid-body", "name the order by exactly one of its two ids")
        check_name(named.client_order_id or named.order_id or "", "the id")
        call = _cancel_call(desk, member, named)
        await desk.reach("cancel", call)

        async def carry_out() -> Response:
            struck = desk.rules.strike_order(call)
            refuse_reason = None if struck is None else struck.reason
            reply = (await desk.submit(member, [Cancel(named, refuse_reason)]))[0]
            if isinstance(reply, CancelReply) and reply.outcome == "cancelled":
                await desk.reach("cancelled", call)
            return answer(reply)

        return await desk.strike(request, [call], carry_out)

    @router.post("/v1/cancels/all", summary="Cancel all live orders, or some")
    async def cancel_all(request: Request) -> Response:
        member = member_of(request, desk, "cancel-all")
        selection = await read(request, _mass_cancellation, bytes_max)
        call = Call("cancel", member, selection.symbol, None, selection.account)

        async def carry_out() -> Response:
            return answer((await desk.submit(member, [CancelAll(selection)]))[0])

        return await desk.strike(request, [call], carry_out)


async def _place(desk: Desk, member: str, placements: list[Placement]) -> list[PlacementReply]:
    """Place orders, each with the fault that strikes it, if any."""
    inputs: list[Input] = []
    hidden: dict[int, float] = {}
    for index, placement in enumerate(placements):
        place = Place(
            placement,
            market_closed=not desk.venue.is_open(),
            hold_until_ms=desk.plans.hold_until_ms(member, placement.client_order_id),
        )
        struck = desk.rules.strike_order(_call(member, placement))
        if struck is not None and struck.action == "hide":
            hidden[index] = struck.seconds
        inputs.append(place if struck is None else _struck(place, struck, desk.venue.now_ms()))
    replies = await desk.submit(member, inputs)
    placed = [reply for reply in replies if isinstance(reply, PlacementReply)]
    for index, seconds in hidden.items():
        order = placed[index].order
        if order is not None:
            desk.hide(order.order_id, seconds)
    for placement, reply in zip(placements, placed, strict=True):
        if reply.outcome == "accepted":
            await desk.reach("placed", _call(member, placement))
    return placed


def _struck(place: Place, rule: RuleRequest, now_ms: int) -> Place:
    """Return a placement with what a rule adds to it."""
    match rule.action:
        case "refuse":
            return replace(place, refuse_reason=rule.reason, refuse_code=rule.code)
        case "late-fill":
            return replace(place, hold_until_ms=now_ms + int(rule.seconds * 1000))
        case "partial":
            return replace(place, first_fill_shares=rule.shares)
    return place


def _calls(member: str, placements: list[Placement]) -> list[Call]:
    for placement in placements:
        check_name(placement.client_order_id, "clientOrderId")
        check_name(placement.account, "account")
        check_name(placement.symbol, "symbol")
        # SQLite's integers end there; the market's own limits are far lower.
        if (
            max(abs(placement.shares), abs(placement.price_cents), abs(placement.send_by_ms))
            >= 2**62
        ):
            raise Refused(422, "invalid-body", "a number is too large")
    return [_call(member, placement) for placement in placements]


def _call(member: str, placement: Placement) -> Call:
    return Call("place", member, placement.symbol, placement.client_order_id, placement.account)


def _cancel_call(desk: Desk, member: str, named: Cancellation) -> Call:
    """Return what rules see of a cancel: the order's own symbol and account, if there is one."""
    registry = desk.venue.engine.registry
    if named.client_order_id is not None:
        order = registry.order_by_client_id(member, named.client_order_id)
    else:
        order = registry.order(named.order_id or "")
    if order is None:
        return Call("cancel", member, None, named.client_order_id, None)
    return Call("cancel", member, order.symbol, order.client_order_id, order.account)
