"""The cents at risk now, for operators."""

from datetime import UTC, datetime
from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from api.auth import CurrentOperator
from api.bodies import json_response
from api.documentation import problems
from api.live_prices import live_prices
from api.node import Node
from api.routes.ops import OPERATOR_PROBLEMS
from api.schemas import TIME_EXAMPLE
from brokerage.bus.unbooked import unbooked
from brokerage.contracts.views import format_time
from brokerage.domain.exposure import Exposure, error_exposures, total_cents
from brokerage.domain.ledger import CASH
from brokerage.storage.exposure_reads import books_at_risk

router = APIRouter(prefix="/ops/risk", tags=["operators"])

Place = Literal["orders", "executions", "error-account"]


class ExposureBody(BaseModel):
    """What is at risk for one cause, in one place. `amountInCents` is null where a symbol has no
    price, and a lower bound where `isComplete` is false.
    """

    place: Place
    cause: str = Field(examples=["unknown-outcome"])
    count: int = Field(description="Orders, or reports of the exchange.", examples=[1])
    amountInCents: int | None = Field(examples=[522100])
    cashInCents: int = Field(
        description="What the firm paid for it (below zero) or took in.", examples=[0]
    )
    oldestAt: str | None = Field(examples=[TIME_EXAMPLE])
    isComplete: bool


class RiskBody(BaseModel):
    """An upper bound: an execution that is missing may lie among those that are parked."""

    at: str = Field(examples=[TIME_EXAMPLE])
    items: list[ExposureBody]
    totalInCents: int | None = Field(examples=[522100])


@router.get(
    "",
    summary="The cents at risk now, by cause",
    responses={200: {"model": RiskBody}, **problems(*OPERATOR_PROBLEMS)},
)
async def read_risk(operator: CurrentOperator, node: Node) -> Response:
    """Unknown outcomes and cancels without an answer at their worst, executions that are not booked
    at their price, the error account's positions at the last price.
    """
    books = await books_at_risk(node.pool)
    symbols = sorted({one.asset for one in books.posted} - {CASH})
    places: dict[Place, list[Exposure]] = {
        "orders": books.orders,
        "executions": [one for one in await unbooked(node.bus) if one.count],
        "error-account": error_exposures(books.posted, await live_prices(node, symbols)),
    }
    total = total_cents(one for exposures in places.values() for one in exposures)
    items = [_view(place, one) for place, exposures in places.items() for one in exposures]
    return json_response(
        {"at": format_time(datetime.now(UTC)), "items": items, "totalInCents": total}
    )


def _view(place: Place, exposure: Exposure) -> dict[str, object]:
    oldest_at = exposure.oldest_at
    return {
        "place": place,
        "cause": exposure.cause,
        "count": exposure.count,
        "amountInCents": exposure.cents,
        "cashInCents": exposure.cash_cents,
        "oldestAt": None if oldest_at is None else format_time(oldest_at),
        "isComplete": exposure.is_complete,
    }
