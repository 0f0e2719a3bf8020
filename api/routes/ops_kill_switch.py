"""The operators' kill switch: what it is set to, and setting it."""

from datetime import UTC, datetime
from typing import Annotated, Final

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from api.auth import USER_ID, CurrentOperator, User
from api.bodies import json_response, read_json
from api.documentation import SymbolName, body, problems
from api.errors import ProblemError
from api.node import Node, NodeState
from api.routes.ops import CHANGE_PROBLEMS, OPERATOR_PROBLEMS, Change, UserPath
from api.routes.orders import client_address
from api.schemas import TIME_EXAMPLE
from api.symbols import check_traded
from brokerage.bus.kill_switch import SwitchAbsent, TooManySwitched, new_act, set_switch
from brokerage.contracts.kill_switch import LEVEL_MAX, SUBJECTS_MAX, Scope, SwitchAct, Switches
from brokerage.contracts.views import format_time

router = APIRouter(prefix="/ops/kill-switch", tags=["operators"])

SET_PROBLEMS: Final = (*CHANGE_PROBLEMS, "kill-switch-absent", "kill-switch-full")


class LevelChange(Change):
    """The new level."""

    level: Annotated[int, Field(ge=0, le=LEVEL_MAX)] = Field(
        description="0 released, 1 no new orders, 2 and all open ones cancelled, 3 and the booking "
        "of executions held back.",
        examples=[1],
    )


class SwitchActBody(BaseModel):
    """Who set it last."""

    at: str = Field(examples=[TIME_EXAMPLE])
    operator: str = Field(examples=["olivia"])
    address: str = Field(examples=["192.0.2.7"])
    reason: str = Field(examples=["runaway orders"])
    scope: Scope
    subject: str | None = Field(examples=["META"])
    before: int | None = Field(examples=[0])
    level: int = Field(examples=[2])


class SwitchBody(BaseModel):
    """Everybody's level, and those of single users and symbols; for an order the highest counts.

    `readable` false: this node does not know the state and takes no order; all else is null or
    empty then. `absent`: there is no state, and no order is taken anywhere until everybody's level
    is set.
    """

    readable: bool
    absent: bool
    level: int | None = Field(examples=[0])
    users: dict[str, int] = Field(examples=[{"alice": 1}])
    symbols: dict[str, int] = Field(examples=[{"META": 2}])
    lastAct: SwitchActBody | None


@router.get(
    "",
    summary="Read the kill switch",
    responses={200: {"model": SwitchBody}, **problems(*OPERATOR_PROBLEMS)},
)
async def read_kill_switch(operator: CurrentOperator, node: Node) -> Response:
    """As this node knows it, which is what it obeys."""
    known = node.kill_switch.switches
    return json_response(switch_view(known, absent=node.kill_switch.is_absent))


@router.put(
    "",
    summary="Set the kill switch for everybody",
    openapi_extra=body(LevelChange),
    responses={200: {"model": SwitchBody}, **problems(*SET_PROBLEMS)},
)
async def set_kill_switch(request: Request, operator: CurrentOperator, node: Node) -> Response:
    """Counts everywhere within 300 ms. Needs no database: that gets its copy of the act later."""
    return await _set(node, request, operator, "global", "")


@router.put(
    "/users/{user}",
    summary="Set the kill switch for one user",
    openapi_extra=body(LevelChange),
    responses={200: {"model": SwitchBody}, **problems(*SET_PROBLEMS, "account-not-found")},
)
async def set_kill_switch_of_user(
    user: UserPath, request: Request, operator: CurrentOperator, node: Node
) -> Response:
    """For this user's orders the highest level counts. The database is not asked whether there is
    such an account: it may be away.
    """
    if not USER_ID.fullmatch(user):
        raise ProblemError("account-not-found", "no user has such a name")
    return await _set(node, request, operator, "user", user)


@router.put(
    "/symbols/{symbol}",
    summary="Set the kill switch for one symbol",
    openapi_extra=body(LevelChange),
    responses={200: {"model": SwitchBody}, **problems(*SET_PROBLEMS, "symbol-not-found")},
)
async def set_kill_switch_of_symbol(
    symbol: SymbolName, request: Request, operator: CurrentOperator, node: Node
) -> Response:
    """For orders of this symbol the highest level counts."""
    check_traded(node.directory, symbol)
    return await _set(node, request, operator, "symbol", symbol)


def switch_view(known: Switches | None, *, absent: bool = False) -> dict[str, object]:
    """The switch as operators see it."""
    return {
        "readable": known is not None,
        "absent": absent,
        "level": None if known is None else known.everybody,
        "users": {} if known is None else dict(known.users),
        "symbols": {} if known is None else dict(known.symbols),
        "lastAct": None if known is None else _act_view(known.act),
    }


def _act_view(act: SwitchAct) -> dict[str, object]:
    return {
        "at": format_time(datetime.fromtimestamp(act.at_ms / 1000, UTC)),
        "operator": act.operator,
        "address": act.address,
        "reason": act.reason,
        "scope": act.scope,
        "subject": act.subject or None,
        "before": act.before,
        "level": act.level,
    }


async def _set(
    node: NodeState, request: Request, operator: User, scope: Scope, subject: str
) -> Response:
    change = await read_json(request, LevelChange)
    act = new_act(
        scope,
        subject,
        change.level,
        operator=operator.user_id,
        address=client_address(request),
        reason=change.reason,
    )
    try:
        switches = await set_switch(node.bus, act)
    except SwitchAbsent as error:
        raise ProblemError(
            "kill-switch-absent", "there is no kill switch: set everybody's level first"
        ) from error
    except TooManySwitched as error:
        raise ProblemError(
            "kill-switch-full", f"{SUBJECTS_MAX} users and symbols are switched; switch everybody"
        ) from error
    # Here it counts before it is answered; elsewhere a moment later.
    await node.kill_switch.look()
    return json_response(switch_view(switches))
