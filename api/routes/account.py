"""What the user has."""

from collections.abc import Mapping
from datetime import UTC, datetime

from fastapi import APIRouter, Response

from api.auth import CurrentUser
from api.bodies import json_response
from api.documentation import TOKEN_PROBLEMS, problems
from api.errors import ProblemError
from api.live_prices import live_prices
from api.node import Node
from api.schemas import PortfolioBody
from brokerage.contracts.views import format_time
from brokerage.storage import reads
from brokerage.storage.reads import Portfolio

router = APIRouter(tags=["account"])


@router.get(
    "/portfolio",
    summary="Your cash and positions at the last prices",
    responses={
        200: {"model": PortfolioBody},
        **problems(*TOKEN_PROBLEMS, "no-account", "unavailable"),
    },
)
async def read_portfolio(user: CurrentUser, node: Node) -> Response:
    """Without prices (the bus is away) the shares are told all the same."""
    portfolio = await reads.portfolio(node.pool, user.user_id)
    if portfolio is None:
        raise ProblemError("no-account", "the token's user has no account here")
    prices = await live_prices(node, [position.symbol for position in portfolio.positions])
    return json_response(portfolio_view(user.user_id, portfolio, prices, datetime.now(UTC)))


def portfolio_view(
    user_id: str, portfolio: Portfolio, prices: Mapping[str, int], at: datetime
) -> dict[str, object]:
    """The portfolio at `prices` (cents by symbol); a missing one makes its value and the total
    null, for a total without it would be wrong.
    """
    positions: list[dict[str, object]] = []
    total: int | None = portfolio.cash_cents
    for position in portfolio.positions:
        price = prices.get(position.symbol)
        value = None if price is None else position.shares * price
        total = None if total is None or value is None else total + value
        positions.append(
            {
                "symbol": position.symbol,
                "shares": position.shares,
                "heldShares": position.held_shares,
                "priceInCents": price,
                "valueInCents": value,
            }
        )
    return {
        "userId": user_id,
        "cashInCents": portfolio.cash_cents,
        "heldCashInCents": portfolio.held_cents,
        "buyingPowerInCents": portfolio.cash_cents - portfolio.held_cents,
        "positions": positions,
        "totalValueInCents": total,
        "asOfSeq": portfolio.as_of_seq,
        "at": format_time(at),
    }
