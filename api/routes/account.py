"""What the user has."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Response

from api.auth import CurrentUser
from api.bodies import json_response
from api.documentation import TOKEN_PROBLEMS, problems
from api.errors import ProblemError, no_account, seq_ahead
from api.live_prices import live_prices
from api.node import Node, NodeState
from api.schemas import SEQ_MAX, PortfolioBody
from brokerage.contracts.views import format_time
from brokerage.storage import event_reads, reads
from brokerage.storage.reads import Portfolio

router = APIRouter(tags=["account"])


@router.get(
    "/portfolio",
    summary="Your cash and positions at the last prices",
    responses={
        200: {"model": PortfolioBody},
        **problems(
            *TOKEN_PROBLEMS,
            "no-account",
            "invalid-request",
            "seq-ahead-of-log",
            "balances-not-kept",
            "unavailable",
        ),
    },
)
async def read_portfolio(
    user: CurrentUser,
    node: Node,
    as_of_seq: Annotated[
        int | None,
        Query(
            alias="asOfSeq",
            ge=0,
            le=SEQ_MAX,
            description="The account right after this order event, without prices; 0: its opening.",
        ),
    ] = None,
) -> Response:
    """Without prices (the bus is away) the shares are told all the same."""
    if as_of_seq is not None:
        return await _past_portfolio(node, user.user_id, as_of_seq)
    portfolio = await reads.portfolio(node.pool, user.user_id)
    if portfolio is None:
        raise no_account()
    prices = await live_prices(node, [position.symbol for position in portfolio.positions])
    return json_response(portfolio_view(user.user_id, portfolio, prices, datetime.now(UTC)))


async def _past_portfolio(node: NodeState, user_id: str, seq: int) -> Response:
    try:
        past = await event_reads.account_after(node.pool, user_id, seq)
    except event_reads.SeqAhead as ahead:
        raise seq_ahead(ahead.last_seq) from ahead
    except event_reads.BalancesNotKept as error:
        detail = "the event is from before balances were kept with events"
        raise ProblemError("balances-not-kept", detail) from error
    if past is None:
        raise no_account()
    return json_response(portfolio_view(user_id, past.portfolio, {}, past.at))


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
