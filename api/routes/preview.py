"""What placing an order would do, without placing it."""

import time
from typing import Final

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from api.admissible import check_switch, check_terms, last_tick
from api.auth import CurrentUser
from api.bodies import json_response, read_json
from api.documentation import ORDER_PROBLEMS, RISK_PROBLEMS, body, problems
from api.errors import no_account
from api.node import Node
from api.schemas import TIME_EXAMPLE, PlaceOrder, ProblemBody
from brokerage.contracts.commands import StartOrder
from brokerage.contracts.placements import new_order
from brokerage.contracts.views import format_time, refusal_problem
from brokerage.domain import risk
from brokerage.domain.orders import Order, Side
from brokerage.storage import account_reads
from brokerage.storage.account_reads import Means

router = APIRouter(tags=["orders"])

REFUSED: Final = "Would be refused, by one or more of " + ", ".join(
    f"`{code}`" for code in RISK_PROBLEMS
)


class PreviewBody(BaseModel):
    """What placing the order would do at this moment. `problems` is every refusal, the first of
    them what `POST /order` would answer; the account's figures are those before and after, the same
    where the order would be refused.
    """

    accepted: bool
    problems: list[ProblemBody] = Field(description=REFUSED, examples=[[]])
    sentPriceInCents: int = Field(
        description="The limit, or the collar of a market order.", examples=[54820]
    )
    requiredCashInCents: int = Field(description="What a buy would hold.", examples=[548200])
    requiredShares: int = Field(description="What a sell would hold.", examples=[0])
    estimatedNotionalInCents: int = Field(
        description="Paid or got if all of it traded at the last price, or at the limit where that "
        "is better.",
        examples=[522100],
    )
    buyingPowerInCents: int = Field(examples=[9949300])
    buyingPowerAfterInCents: int = Field(examples=[9401100])
    sellableShares: int = Field(description="Of the order's symbol.", examples=[50])
    sellableSharesAfter: int = Field(examples=[50])
    lastPriceInCents: int = Field(
        description="What all of this was computed with.", examples=[52210]
    )
    lastPriceAt: str = Field(examples=["2026-11-23T14:30:00.125Z"])
    asOfSeq: int = Field(
        description="The last order event of the account that is included.", examples=[12]
    )
    at: str = Field(examples=[TIME_EXAMPLE])


@router.post(
    "/order/preview",
    summary="See what placing an order would do",
    openapi_extra=body(PlaceOrder),
    responses={
        200: {"model": PreviewBody},
        **problems(*ORDER_PROBLEMS),
    },
)
async def preview_order(request: Request, user: CurrentUser, node: Node) -> Response:
    """All checks of `POST /order` and the cost. Needs no key, stores nothing, holds nothing and
    takes no token of the rate limits.
    """
    asked = await read_json(request, PlaceOrder)
    check_terms(node, asked)
    check_switch(node, user.user_id, asked.symbol)
    tick = await last_tick(node, asked.symbol)
    side = Side(asked.position)
    means = await account_reads.means(node.pool, user.user_id, asked.symbol, side)
    if means is None:
        raise no_account()
    order = new_order(
        StartOrder(
            order_id="",
            user_id=user.user_id,
            symbol=asked.symbol,
            side=side,
            shares=asked.num_shares,
            limit_price_cents=asked.price_in_cents,
            time_in_force=asked.time_in_force,
            claimed_at_ms=time.time_ns() // 1_000_000,
            last_price_cents=tick.price_cents,
        )
    )
    return json_response(preview_view(order, means, tick.price_cents) | {"lastPriceAt": tick.at})


def preview_view(order: Order, means: Means, last_price_cents: int) -> dict[str, object]:
    """The preview as clients see it, without the time of the price."""
    before = means.books
    preview = risk.preview(order, before, means.standing, last_price_cents)
    is_buy = order.side is Side.BUY
    return {
        "accepted": not preview.refusals,
        "problems": [refusal_problem(one, one.code) for one in preview.refusals],
        "sentPriceInCents": order.price_cents,
        "requiredCashInCents": order.shares * order.price_cents if is_buy else 0,
        "requiredShares": 0 if is_buy else order.shares,
        "estimatedNotionalInCents": preview.estimated_notional_cents,
        "buyingPowerInCents": before.buying_power_cents,
        "buyingPowerAfterInCents": preview.after.buying_power_cents,
        "sellableShares": before.sellable_shares,
        "sellableSharesAfter": preview.after.sellable_shares,
        "lastPriceInCents": last_price_cents,
        "asOfSeq": means.as_of_seq,
        "at": format_time(order.created_at),
    }
