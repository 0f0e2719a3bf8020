"""What operators see of the books: the firm's error account."""

from typing import Annotated, Final

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from api.auth import CurrentOperator
from api.bodies import json_response
from api.cursor import decode_error_cursor, encode_error_cursor
from api.documentation import TOKEN_PROBLEMS, problems
from api.node import Node
from api.schemas import ORDER_ID_EXAMPLE, TIME_EXAMPLE
from brokerage.contracts.views import format_time
from brokerage.domain.ledger import CASH
from brokerage.storage.error_account import BorneItem, BorneTotal, error_account

router = APIRouter(prefix="/ops", tags=["operators"])

PAGE_MAX: Final = 200
PAGE_DEFAULT: Final = 50


class BorneBody(BaseModel):
    """What one report of the exchange brought to the error account, for one cause."""

    cause: str = Field(examples=["uncovered-bust"])
    executionId: str = Field(examples=["E7f3a-104"])
    reportId: str = Field(
        description="The execution itself, or the bust or correction of it.", examples=["B7f3a-2"]
    )
    orderId: str = Field(examples=[ORDER_ID_EXAMPLE])
    userId: str = Field(examples=["alice"])
    symbol: str = Field(examples=["META"])
    amountInCents: int = Field(description="Below zero: the firm paid.", examples=[52200])
    shares: int = Field(description="Below zero: the firm owes them.", examples=[-1])
    bookedAt: str = Field(examples=[TIME_EXAMPLE])


class BorneTotalBody(BaseModel):
    """What the account has for one cause: cash in cents, or shares of a symbol."""

    cause: str = Field(examples=["uncovered-bust"])
    amountInCents: int | None = Field(examples=[None])
    symbol: str | None = Field(examples=["META"])
    shares: int | None = Field(examples=[-1])


class ErrorAccountBody(BaseModel):
    """A page of items, newest first; `totals` are of the whole account."""

    items: list[BorneBody]
    nextCursor: str | None = Field(examples=[None])
    totals: list[BorneTotalBody]


@router.get(
    "/error-account",
    summary="What the firm bears, and why",
    responses={
        200: {"model": ErrorAccountBody},
        **problems(*TOKEN_PROBLEMS, "operator-only", "invalid-request", "unavailable"),
    },
)
async def read_error_account(
    operator: CurrentOperator,
    node: Node,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = PAGE_DEFAULT,
    cursor: Annotated[str | None, Query(max_length=300)] = None,
) -> Response:
    """Every item has its cause, its execution and its order; what is settled elsewhere stays."""
    account = await error_account(
        node.pool,
        # One more than asked for tells whether there is a next page.
        limit=limit + 1,
        before=decode_error_cursor(cursor) if cursor is not None else None,
    )
    items = account.items[:limit]
    last = items[-1] if len(account.items) > limit else None
    return json_response(
        {
            "items": [_item_view(item) for item in items],
            "nextCursor": (
                encode_error_cursor(last.booked_at, last.report_id, last.cause) if last else None
            ),
            "totals": [_total_view(total) for total in account.totals],
        }
    )


def _item_view(item: BorneItem) -> dict[str, object]:
    return {
        "cause": item.cause,
        "executionId": item.execution_id,
        "reportId": item.report_id,
        "orderId": item.order_id,
        "userId": item.user_id,
        "symbol": item.symbol,
        "amountInCents": item.cents,
        "shares": item.shares,
        "bookedAt": format_time(item.booked_at),
    }


def _total_view(total: BorneTotal) -> dict[str, object]:
    is_cash = total.asset == CASH
    return {
        "cause": total.cause,
        "amountInCents": total.amount if is_cash else None,
        "symbol": None if is_cash else total.asset,
        "shares": None if is_cash else total.amount,
    }
