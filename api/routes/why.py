"""Why an order has not filled."""

from datetime import UTC, datetime
from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from api.auth import CurrentUser
from api.bodies import json_response
from api.cancelling import order_not_found
from api.documentation import TOKEN_PROBLEMS, OrderId, problems
from api.history_reads import reading_history
from api.live_prices import live_ticks
from api.node import Node, NodeState
from api.order_ids import parse_order_id
from api.schemas import ORDER_ID_EXAMPLE, TIME_EXAMPLE
from brokerage.contracts.views import format_time
from brokerage.domain.why import LastTrade, WaitsFor, Why, why
from brokerage.storage.why_reads import OrderInMarket, order_in_market

router = APIRouter(tags=["orders"])


class TradedBody(BaseModel):
    """What traded in the symbol while the order stood: of all bars that begin at `since` or later
    and, if it ended, were over by then. All trades up to `until` are in them.
    """

    interval: Literal["1s", "1m", "1d"]
    since: str = Field(examples=[TIME_EXAMPLE])
    until: str | None = Field(examples=[TIME_EXAMPLE])
    bestPriceInCents: int | None = Field(examples=[52190])
    reachedVolume: int = Field(
        description="Shares of the bars whose range reaches the limit.", examples=[1200]
    )
    missedVolume: int = Field(
        description="The same, of those since the order's last fill.", examples=[0]
    )


class WhyBody(BaseModel):
    """What an order waits for. `limitInCents` is what was sent: of a market order, its collar."""

    orderId: str = Field(examples=[ORDER_ID_EXAMPLE])
    at: str = Field(examples=[TIME_EXAMPLE])
    waitsFor: WaitsFor
    explanation: str = Field(
        examples=["4 of 10 shares are filled; since the last of them its $522.10 was not reached."]
    )
    status: str = Field(examples=["partially_filled"])
    reason: str | None = Field(examples=[None])
    limitInCents: int = Field(examples=[52210])
    numShares: int = Field(examples=[10])
    filledShares: int = Field(examples=[4])
    leavesShares: int = Field(
        description="What may still be executed; 0 once it ended.", examples=[6]
    )
    lastFillAt: str | None = Field(examples=[TIME_EXAMPLE])
    lastPriceInCents: int | None = Field(examples=[52260])
    lastPriceAt: str | None = Field(examples=[TIME_EXAMPLE])
    bestPriceInCents: int | None = Field(
        examples=[52190],
        description="The best price traded since the order was sent, the last one included.",
    )
    distanceInCents: int | None = Field(
        examples=[0], description="From that price to the limit; 0 if the limit was reached."
    )
    traded: TradedBody


@router.get(
    "/order/{order_id}/why",
    summary="Why an order has not filled",
    responses={
        200: {"model": WhyBody},
        **problems(*TOKEN_PROBLEMS, "order-not-found", "overloaded", "unavailable"),
    },
)
async def explain_order(order_id: OrderId, user: CurrentUser, node: Node) -> Response:
    """What it waits for, and what traded since it was sent. Another user's order looks like none.

    Bars are of one second, or of a minute or a day where seconds are no longer kept for so long:
    `traded.interval` says which. Only bars that begin after the order was sent count, and of an
    order that ended only those that were over by then.
    """
    now = datetime.now(UTC)
    looked = await look(node, user.user_id, parse_order_id(order_id), now)
    if looked is None:
        raise order_not_found()
    return json_response(why_view(*looked, now))


async def look(
    node: NodeState, user_id: str, order_id: str, now: datetime
) -> tuple[OrderInMarket, LastTrade | None, Why] | None:
    """The user's order in its market and why it stands as it does; None if there is none."""
    async with reading_history(node):
        found = await order_in_market(node.pool, user_id, order_id, now)
    if found is None:
        return None
    symbol = found.order.symbol
    tick = (await live_ticks(node, [symbol])).get(symbol)
    last = None if tick is None else LastTrade(tick.price_cents, datetime.fromisoformat(tick.at))
    beat = node.hub.beat if node.has("hub") else None
    answer = why(
        found.order,
        found.traded,
        last,
        is_open=None if beat is None else beat.trading.is_open,
        is_halted=beat is not None and symbol in beat.trading.halted,
    )
    return found, last, answer


def why_view(
    found: OrderInMarket, last: LastTrade | None, answer: Why, now: datetime
) -> dict[str, object]:
    """The answer as clients see it."""
    order = found.order
    return {
        "orderId": order.order_id,
        "at": format_time(now),
        "waitsFor": answer.waits_for.value,
        "explanation": answer.explanation,
        "status": order.status.value,
        "reason": order.reason,
        "limitInCents": order.price_cents,
        "numShares": order.shares,
        "filledShares": order.filled_shares,
        "leavesShares": order.leaves_shares if order.is_open else 0,
        "lastFillAt": _time(found.last_fill_at),
        "lastPriceInCents": None if last is None else last.price_cents,
        "lastPriceAt": None if last is None else format_time(last.at),
        "bestPriceInCents": answer.best_price_cents,
        "distanceInCents": answer.distance_cents,
        "traded": {
            "interval": found.interval,
            "since": format_time(order.created_at),
            "until": _time(found.until),
            "bestPriceInCents": found.traded.best_price_cents,
            "reachedVolume": found.traded.reached_volume,
            "missedVolume": found.traded.missed_volume,
        },
    }


def _time(at: datetime | None) -> str | None:
    return None if at is None else format_time(at)
