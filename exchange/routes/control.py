"""Making the exchange misbehave, and doing by hand what an exchange does of its own accord.

Not for members: switched off by `EXCHANGE_CONTROL=false`.
"""

import math
from typing import Annotated, Literal

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from exchange.desk import Desk, Refused, answer, check_name, problem, read
from exchange.faults import RuleError, RuleRequest
from exchange.feed_faults import FeedFaultRequest
from exchange.inputs import (
    BustExecution,
    ControlReply,
    CorrectExecution,
    EndDay,
    EndOrder,
    ExecuteOrder,
    Halt,
    Input,
)
from exchange.plans import PlanRequest
from exchange.protocol import Sessions


class HaltRequest(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Halt a symbol, or resume it."""

    symbol: str
    halted: bool = True


class SessionsRequest(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Take orders by other hours."""

    sessions: Sessions


class BustRequest(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Bust an execution."""

    execution_id: str


_Count = Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)]


class CorrectionRequest(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Correct an execution."""

    execution_id: str
    price_cents: _Count
    shares: _Count


_Positive = Annotated[int, msgspec.Meta(ge=1, le=2**53)]


class ExecutionRequest(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Execute an order by hand."""

    order_id: str
    price_cents: _Positive
    shares: _Positive


class EndRequest(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """End a live order; by `client_order_id` together with `member`."""

    order_id: str | None = None
    member: str | None = None
    client_order_id: str | None = None
    status: Literal["expired", "cancelled"] = "expired"
    reason: str = "ended by the exchange"


class SpeedRequest(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Set the speed: a factor, or `max`."""

    speed: float | Literal["max"]


class Rules(msgspec.Struct, frozen=True):
    """A list of whatever was asked for."""

    items: list[object]


_rule = msgspec.json.Decoder(RuleRequest)
_plan = msgspec.json.Decoder(PlanRequest)
_feed_fault = msgspec.json.Decoder(FeedFaultRequest)
_halt = msgspec.json.Decoder(HaltRequest)
_sessions = msgspec.json.Decoder(SessionsRequest)
_bust = msgspec.json.Decoder(BustRequest)
_correction = msgspec.json.Decoder(CorrectionRequest)
_execution = msgspec.json.Decoder(ExecutionRequest)
_end = msgspec.json.Decoder(EndRequest)
_speed = msgspec.json.Decoder(SpeedRequest)
_BYTES_MAX = 100_000


def control_routes(desk: Desk) -> APIRouter:
    """Return all routes of the control panel."""
    router = APIRouter(prefix="/v1/control", tags=["control"])
    _add_fault_routes(router, desk)
    _add_plan_routes(router, desk)
    _add_feed_fault_routes(router, desk)
    _add_market_routes(router, desk)
    _add_order_routes(router, desk)
    return router


def _add_fault_routes(router: APIRouter, desk: Desk) -> None:
    @router.post("/rules", summary="Put a fault rule in force")
    async def add_rule(request: Request) -> Response:
        try:
            return answer(desk.rules.add(await read(request, _rule, _BYTES_MAX)), 201)
        except RuleError as error:
            raise Refused(422, "invalid-rule", str(error)) from error

    @router.get("/rules", summary="The fault rules, and how often each fired")
    async def list_rules() -> Response:
        return answer(Rules([*desk.rules.all()]))

    @router.delete("/rules", summary="Lift all fault rules")
    async def clear_rules() -> Response:
        desk.rules.clear()
        desk.hidden_until.clear()
        return answer(ControlReply(done=True))

    @router.delete("/rules/{number}", summary="Lift one fault rule")
    async def remove_rule(number: int) -> Response:
        if not desk.rules.remove(number):
            return problem(404, "unknown-rule", "no rule has this id")
        return answer(ControlReply(done=True))


def _add_plan_routes(router: APIRouter, desk: Desk) -> None:
    @router.post("/plans", summary="Say what is to become of one order, before it is placed")
    async def add_plan(request: Request) -> Response:
        wanted = await read(request, _plan, _BYTES_MAX)
        check_name(wanted.member, "member")
        check_name(wanted.client_order_id, "clientOrderId")
        try:
            is_new = desk.plans.add(wanted)
        except RuleError as error:
            raise Refused(422, "invalid-rule", str(error)) from error
        # A repeat changes nothing: what was planned first, or has happened, stands.
        return answer(ControlReply(done=is_new), 201 if is_new else 200)

    @router.get("/plans", summary="The plans, and how far each has come")
    async def list_plans() -> Response:
        return answer(Rules([*desk.plans.all()]))


def _add_feed_fault_routes(router: APIRouter, desk: Desk) -> None:
    @router.post("/feed", summary="Disturb the feed")
    async def disturb_feed(request: Request) -> Response:
        wanted = await read(request, _feed_fault, _BYTES_MAX)
        fault = desk.hub.faults.add(wanted)
        if wanted.action == "drop":
            fault.fired = desk.hub.drop(wanted.member)
        return answer(fault, 201)

    @router.get("/feed", summary="The faults of the feed, and how often each struck")
    async def list_feed_faults() -> Response:
        return answer(Rules([*desk.hub.faults.all()]))

    @router.delete("/feed", summary="Lift all faults of the feed")
    async def clear_feed_faults() -> Response:
        desk.hub.faults.clear()
        return answer(ControlReply(done=True))

    @router.delete("/feed/{number}", summary="Lift one fault of the feed")
    async def remove_feed_fault(number: int) -> Response:
        if not desk.hub.faults.remove(number):
            return problem(404, "unknown-fault", "no fault of the feed has this id")
        return answer(ControlReply(done=True))


def _add_market_routes(router: APIRouter, desk: Desk) -> None:
    @router.post("/halts", summary="Halt a symbol, or resume it")
    async def halt(request: Request) -> Response:
        wanted = await read(request, _halt, _BYTES_MAX)
        return await _do(desk, Halt(wanted.symbol, wanted.halted))

    @router.post(
        "/sessions", summary="Take orders around the clock, in regular hours, or not at all"
    )
    async def switch_sessions(request: Request) -> Response:
        desk.venue.switch_sessions((await read(request, _sessions, _BYTES_MAX)).sessions)
        return answer(ControlReply(done=True))

    @router.post("/busts", summary="Bust an execution")
    async def bust(request: Request) -> Response:
        wanted = await read(request, _bust, _BYTES_MAX)
        return await _do(desk, BustExecution(wanted.execution_id))

    @router.post("/corrections", summary="Correct an execution")
    async def correct(request: Request) -> Response:
        wanted = await read(request, _correction, _BYTES_MAX)
        correction = CorrectExecution(wanted.execution_id, wanted.price_cents, wanted.shares)
        return await _do(desk, correction)


def _add_order_routes(router: APIRouter, desk: Desk) -> None:
    @router.post("/executions", summary="Execute an order, even one that is full or has ended")
    async def execute(request: Request) -> Response:
        wanted = await read(request, _execution, _BYTES_MAX)
        return await _do(desk, ExecuteOrder(wanted.order_id, wanted.price_cents, wanted.shares))

    @router.post("/ends", summary="End a live order without its member asking")
    async def end(request: Request) -> Response:
        wanted = await read(request, _end, _BYTES_MAX)
        order_id = wanted.order_id
        if order_id is None:
            if wanted.member is None or wanted.client_order_id is None:
                raise Refused(422, "invalid-body", "give orderId, or member and clientOrderId")
            order = desk.venue.engine.registry.order_by_client_id(
                wanted.member, wanted.client_order_id
            )
            if order is None:
                return problem(404, "unknown-order", "no order has this id")
            order_id = order.order_id
        return await _do(desk, EndOrder(order_id, wanted.status == "expired", wanted.reason))

    @router.post("/day", summary="End the trading day now: day orders expire")
    async def end_day() -> Response:
        return await _do(desk, EndDay(desk.venue.now_ms() + 1))

    @router.post("/speed", summary="Set the speed of the market")
    async def set_speed(request: Request) -> Response:
        wanted = (await read(request, _speed, _BYTES_MAX)).speed
        speed = math.inf if wanted == "max" else wanted
        if not speed > 0:
            raise Refused(422, "invalid-body", "the speed must be above 0, or max")
        desk.venue.speed = speed
        return answer(ControlReply(done=True))


async def _do(desk: Desk, one: Input) -> Response:
    """Apply a control input, as durable as a request."""
    reply = (await desk.submit("", [one]))[0]
    assert isinstance(reply, ControlReply)
    if reply.done:
        return answer(reply)
    status = 404 if (reply.code or "").startswith("unknown") else 409
    return problem(status, reply.code or "refused", reply.reason or "")
