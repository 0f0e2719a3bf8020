"""What your orders were executed at, and what the exchange made of it later."""

from typing import Annotated, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from api.auth import CurrentUser
from api.bodies import json_response
from api.cursor import decode_execution_cursor, encode_execution_cursor
from api.documentation import TOKEN_PROBLEMS, problems
from api.node import Node
from api.schemas import ORDER_ID_EXAMPLE, TIME_EXAMPLE, Position
from brokerage.contracts.views import format_time
from brokerage.domain.ledger import charged_price_cents, price_improvement_cents
from brokerage.storage.execution_reads import Execution, executions_page

router = APIRouter(tags=["orders"])

PAGE_MAX: Final = 200
PAGE_DEFAULT: Final = 50
STATUSES: Final = {"fill": "booked", "bust": "busted", "correction": "corrected"}


class FirstBookedBody(BaseModel):
    """An execution as it was booked at first."""

    shares: int = Field(examples=[10])
    priceInCents: int = Field(examples=[52200])
    notionalInCents: int = Field(examples=[522000])


class ExecutionBody(BaseModel):
    """One execution of an order of yours. Shares and cents are yours, and exact."""

    id: str = Field(examples=["E7f3a-104"])
    orderId: str = Field(examples=[ORDER_ID_EXAMPLE])
    position: Position
    symbol: str = Field(examples=["META"])
    shares: int = Field(examples=[10])
    priceInCents: int | None = Field(
        description="What a share cost or brought; null once it is busted.", examples=[52200]
    )
    notionalInCents: int = Field(examples=[522000])
    sentPriceInCents: int = Field(
        description="The order's limit, or the collar of a market order.", examples=[52210]
    )
    priceImprovementInCents: int = Field(
        description="How much better than `shares` at `sentPriceInCents` this is; never below 0.",
        examples=[100],
    )
    status: Literal["booked", "busted", "corrected"]
    was: FirstBookedBody | None = Field(description="Null unless busted or corrected.")
    at: str = Field(description="When it happened at the exchange.", examples=[TIME_EXAMPLE])
    bookedAt: str = Field(examples=[TIME_EXAMPLE])
    amendedAt: str | None = Field(
        description="When the exchange busted or last corrected it.", examples=[None]
    )


class ExecutionsBody(BaseModel):
    """A page of executions; `asOfSeq` is the last order event it includes."""

    items: list[ExecutionBody]
    nextCursor: str | None = Field(examples=[None])
    asOfSeq: int = Field(examples=[12])


@router.get(
    "/executions",
    summary="List your executions, newest first",
    responses={
        200: {"model": ExecutionsBody},
        **problems(*TOKEN_PROBLEMS, "invalid-request", "unavailable"),
    },
)
async def list_executions(
    user: CurrentUser,
    node: Node,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = PAGE_DEFAULT,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    symbol: Annotated[str | None, Query(pattern=r"^[A-Z0-9.]{1,16}$")] = None,
    order_id: Annotated[UUID | None, Query(alias="orderId")] = None,
) -> Response:
    """By the time at the exchange. Of another user's order there are none."""
    page = await executions_page(
        node.pool,
        user.user_id,
        # One more than asked for tells whether there is a next page.
        limit=limit + 1,
        before=decode_execution_cursor(cursor) if cursor is not None else None,
        symbol=symbol,
        order_id=str(order_id) if order_id else None,
    )
    items = page.executions[:limit]
    last = items[-1] if len(page.executions) > limit else None
    return json_response(
        {
            "items": [execution_view(one) for one in items],
            "nextCursor": (
                encode_execution_cursor(last.reported_at, last.execution_id) if last else None
            ),
            "asOfSeq": page.as_of_seq,
        }
    )


def execution_view(one: Execution) -> dict[str, object]:
    """An execution as its owner sees it."""

    def charged(price_cents: int) -> int:
        return charged_price_cents(one.side, price_cents, one.sent_price_cents)

    amended = one.kind != "fill"
    return {
        "id": one.execution_id,
        "orderId": one.order_id,
        "position": one.side.value,
        "symbol": one.symbol,
        "shares": one.booked_shares,
        "priceInCents": None if one.kind == "bust" else charged(one.price_cents),
        "notionalInCents": one.booked_cents,
        "sentPriceInCents": one.sent_price_cents,
        "priceImprovementInCents": price_improvement_cents(
            one.side, one.booked_shares, one.booked_cents, one.sent_price_cents
        ),
        "status": STATUSES[one.kind],
        "was": {
            "shares": one.first_booked_shares,
            "priceInCents": charged(one.first_price_cents),
            "notionalInCents": one.first_booked_cents,
        }
        if amended
        else None,
        "at": format_time(one.reported_at),
        "bookedAt": format_time(one.settled_at),
        "amendedAt": format_time(one.amended_at) if one.amended_at else None,
    }
