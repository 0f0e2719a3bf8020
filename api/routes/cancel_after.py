"""The customer's dead-man switch."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Request, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from api.auth import CurrentUser
from api.bodies import json_response, read_json
from api.documentation import BODY_PROBLEMS, TOKEN_PROBLEMS, body, problems
from api.errors import no_account
from api.node import Node
from api.routes.orders import client_address
from api.schemas import TIME_EXAMPLE
from brokerage.contracts.views import format_time
from brokerage.storage import cancel_after
from brokerage.storage.cancel_after import CancelAfter

router = APIRouter(tags=["orders"])

SECONDS_MIN: Final = 5
SECONDS_MAX: Final = 86_400


def _not_too_short(seconds: int) -> int:
    if 0 < seconds < SECONDS_MIN:
        raise ValueError(f"0, or from {SECONDS_MIN} to {SECONDS_MAX}")
    return seconds


class Arming(BaseModel):
    """How long it waits for the next call; 0 disarms."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    seconds: Annotated[int, Field(ge=0, le=SECONDS_MAX), AfterValidator(_not_too_short)] = Field(
        examples=[60]
    )


class CancelAfterBody(BaseModel):
    """The switch. Armed, `cancelsAt` says when all open orders are cancelled unless it is armed
    anew; `wentOffAt` is when that happened last.
    """

    armed: bool
    seconds: int | None = Field(examples=[60])
    cancelsAt: str | None = Field(examples=[TIME_EXAMPLE])
    armedAt: str | None = Field(examples=[TIME_EXAMPLE])
    armedFrom: str | None = Field(description="The address.", examples=["192.0.2.7"])
    wentOffAt: str | None = Field(examples=[None])


@router.post(
    "/orders/cancel-after",
    summary="Arm the dead-man switch",
    openapi_extra=body(Arming),
    responses={
        200: {"model": CancelAfterBody},
        **problems(*TOKEN_PROBLEMS, *BODY_PROBLEMS, "no-account", "unavailable"),
    },
)
async def set_cancel_after(request: Request, user: CurrentUser, node: Node) -> Response:
    """Your open orders are cancelled after so many seconds, unless you call again before; 0 calls
    it off. It survives everything, and orders placed after it went off stay.
    """
    arming = await read_json(request, Arming)
    armed = await cancel_after.arm(node.pool, user.user_id, arming.seconds, client_address(request))
    if armed is None:
        raise no_account()
    return json_response(cancel_after_view(armed))


@router.get(
    "/orders/cancel-after",
    summary="Read the dead-man switch",
    responses={200: {"model": CancelAfterBody}, **problems(*TOKEN_PROBLEMS, "unavailable")},
)
async def read_cancel_after(user: CurrentUser, node: Node) -> Response:
    """One that was never armed is all nulls."""
    return json_response(cancel_after_view(await cancel_after.read(node.pool, user.user_id)))


def cancel_after_view(switch: CancelAfter | None) -> dict[str, Any]:
    """The switch as its owner sees it."""
    armed = switch if switch is not None and switch.cancels_at is not None else None
    went_off_at = None if switch is None else switch.went_off_at
    return {
        "armed": armed is not None,
        "seconds": armed and armed.seconds,
        "cancelsAt": armed and armed.cancels_at and format_time(armed.cancels_at),
        "armedAt": armed and format_time(armed.armed_at),
        "armedFrom": armed and armed.address,
        "wentOffAt": went_off_at and format_time(went_off_at),
    }
