"""Where an order is and why, for operators: any user's, with the next safe action."""

from datetime import UTC, datetime
from typing import Final, Literal

import structlog
from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from api.auth import CurrentOperator
from api.bodies import json_response
from api.documentation import OrderId, problems
from api.node import Node
from api.order_ids import parse_order_id
from api.routes.ops import OPERATOR_PROBLEMS
from api.routes.why import look
from api.schemas import ORDER_ID_EXAMPLE, TIME_EXAMPLE, OrderBody
from brokerage.bus.connection import BusUnavailable
from brokerage.bus.set_aside import SetAside
from brokerage.contracts.gateway import GatewayReply, QueryRequest
from brokerage.contracts.kill_switch import NO_NEW_ORDERS, PAUSE_EXECUTIONS, Switches
from brokerage.contracts.views import format_time, order_view
from brokerage.domain.next_act import Held, NextAct, There, advise
from brokerage.domain.orders import Order
from brokerage.domain.why import WaitsFor
from brokerage.gateway.client import GatewayClient
from brokerage.storage.reads import route_of_order

log = structlog.get_logger()

router = APIRouter(prefix="/ops/orders", tags=["operators"])

ASK_SECONDS: Final = 2.0
"""The gateway gives the exchange a second."""
UNHEARD: Final = frozenset({"gateway-unreachable", "gateway-unreadable"})


class WorkflowRunBody(BaseModel):
    """The newest run of the order in Temporal; `step` is an activity that is repeated."""

    state: Literal["running", "ended", "absent", "unreachable"]
    taskFailures: int = Field(
        description="Times in a row that the workflow's code failed.", examples=[0]
    )
    step: str | None = Field(examples=["resolve_submission"])
    attempt: int = Field(examples=[0])
    nextAttemptAt: str | None = Field(examples=[None])
    lastFailure: str | None = Field(examples=[None])


class AtExchangeBody(BaseModel):
    """What the exchange says of the order. `silent`: it does not answer; `unheard`: our gateway."""

    answer: Literal["found", "absent", "silent", "unheard"]
    status: str | None = Field(examples=["open"])
    cumulativeShares: int = Field(examples=[10])


class OrderStandingBody(BaseModel):
    """Where an order is, why, and what to do; `order` is null where there is no row of it."""

    orderId: str = Field(examples=[ORDER_ID_EXAMPLE])
    userId: str | None = Field(examples=["alice"])
    at: str = Field(examples=[TIME_EXAMPLE])
    order: OrderBody | None
    waitsFor: WaitsFor | None
    explanation: str | None = Field(examples=["It is filled."])
    nextAct: NextAct
    because: str = Field(examples=["The order is over, here and at the exchange."])
    notBefore: str | None = Field(
        description="Before this, nothing new is to be expected.", examples=[None]
    )
    run: WorkflowRunBody
    exchange: AtExchangeBody
    parkedReports: int | None = Field(
        description="null where the streams cannot be read.", examples=[0]
    )
    deadLetters: int | None = Field(examples=[0])
    switchLevel: int | None = Field(
        description="What the kill switch is set to for it; null where that cannot be read: then no"
        " order passes.",
        examples=[0],
    )


@router.get(
    "/{order_id}",
    summary="Where an order is, why, and what to do",
    responses={
        200: {"model": OrderStandingBody},
        **problems(*OPERATOR_PROBLEMS, "order-not-found", "overloaded"),
    },
)
async def read_order_standing(order_id: OrderId, operator: CurrentOperator, node: Node) -> Response:
    """Asks the row, the market, Temporal, and, through the gateway, the exchange. An id of which
    nobody knows anything is answered too: the next act is then the customer's.
    """
    order_id = parse_order_id(order_id)
    now = datetime.now(UTC)
    route = await route_of_order(node.pool, order_id)
    looked = await look(node, route.user_id, order_id, now) if route else None
    found, _, answer = looked if looked else (None, None, None)
    order = found.order if found else None
    run = await node.temporal.run_of(order_id)
    there = _there(
        await GatewayClient(node.bus).query(QueryRequest(client_order_id=order_id), ASK_SECONDS)
    )
    external_order_id = order.external_order_id if order else None
    parked, dead = await _set_aside(node, external_order_id) if external_order_id else (0, 0)
    level = _switch_level(node.kill_switch.switches, order)
    held = Held(
        orders=level is None or level >= NO_NEW_ORDERS,
        executions=level is not None and level >= PAUSE_EXECUTIONS,
    )
    advice = advise(order, run, there, parked=parked, dead=dead, now=now, held=held)
    return json_response(
        {
            "orderId": order_id,
            "userId": route.user_id if route else None,
            "at": format_time(now),
            "order": order_view(order) if order else None,
            "waitsFor": answer.waits_for.value if answer else None,
            "explanation": answer.explanation if answer else None,
            "nextAct": advice.act.value,
            "because": advice.because,
            "notBefore": _time(advice.not_before),
            "run": {
                "state": run.state,
                "taskFailures": run.task_failures,
                "step": run.step,
                "attempt": run.attempt,
                "nextAttemptAt": _time(run.next_attempt_at),
                "lastFailure": run.last_failure,
            },
            "exchange": {
                "answer": there.answer,
                "status": there.status,
                "cumulativeShares": there.cumulative_shares,
            },
            "parkedReports": parked,
            "deadLetters": dead,
            "switchLevel": level,
        }
    )


def _there(reply: GatewayReply) -> There:
    if reply.outcome == "found" and reply.order is not None:
        return There("found", reply.order.status, reply.order.cumulative_shares)
    if reply.outcome == "absent":
        return There("absent")
    return There("unheard" if reply.code in UNHEARD else "silent")


def _time(at: datetime | None) -> str | None:
    return None if at is None else format_time(at)


def _switch_level(switches: Switches | None, order: Order | None) -> int | None:
    if switches is None:
        return None
    return switches.level(order.user_id, order.symbol) if order else switches.everybody


async def _set_aside(node: Node, external_order_id: str) -> tuple[int, int] | tuple[None, None]:
    aside = SetAside(node.bus)
    try:
        return (
            sum((await aside.parked(external_order_id)).values()),
            sum((await aside.dead(external_order_id)).values()),
        )
    except BusUnavailable as error:
        # An operator asks just when something is away: the rest is known all the same.
        log.warning("set_aside_not_read", error=str(error))
        return None, None
