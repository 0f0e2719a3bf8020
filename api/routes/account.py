"""What the user has."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from api.auth import CurrentUser
from api.bodies import json_response
from api.cursor import decode_cursor, encode_cursor
from api.documentation import TOKEN_PROBLEMS, problems
from api.errors import ProblemError, no_account, seq_ahead
from api.live_prices import live_prices
from api.node import Node, NodeState
from api.schemas import ORDER_ID_EXAMPLE, SEQ_MAX, TIME_EXAMPLE, PortfolioBody, Position
from brokerage.contracts.views import format_time
from brokerage.domain.orders import Side
from brokerage.storage import account_reads, event_reads, reads
from brokerage.storage.account_reads import Hold
from brokerage.storage.reads import Portfolio

router = APIRouter(tags=["account"])

HOLDS_MAX: Final = 200
HOLDS_DEFAULT: Final = 50


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


class HoldBody(BaseModel):
    """What one open order holds: cents for a buy, shares for a sell; the other is null."""

    orderId: str = Field(examples=[ORDER_ID_EXAMPLE])
    position: Position
    symbol: str = Field(examples=["META"])
    status: str = Field(examples=["submitted"])
    shares: int = Field(description="What of the order is not booked yet.", examples=[10])
    sentPriceInCents: int = Field(examples=[52210])
    heldCashInCents: int | None = Field(examples=[522100])
    heldShares: int | None = Field(examples=[None])
    since: str = Field(examples=[TIME_EXAMPLE])
    why: Literal["open", "executed"] = Field(
        description="`open`: it may still trade. `executed`: it has ended, and that much of it was "
        "executed that is not booked yet."
    )


class HeldBody(BaseModel):
    """Shares of one symbol that open sells hold."""

    symbol: str = Field(examples=["SPY"])
    heldShares: int = Field(examples=[5])


class HoldsBody(BaseModel):
    """Holds, newest order first, and all that is held, those of other pages included."""

    items: list[HoldBody]
    nextCursor: str | None = Field(examples=[None])
    heldCashInCents: int = Field(examples=[522100])
    heldShares: list[HeldBody]
    asOfSeq: int = Field(examples=[12])


@router.get(
    "/account/holds",
    summary="What your open orders hold of your cash and shares, and why",
    responses={
        200: {"model": HoldsBody},
        **problems(*TOKEN_PROBLEMS, "no-account", "invalid-request", "unavailable"),
    },
)
async def list_holds(
    user: CurrentUser,
    node: Node,
    limit: Annotated[int, Query(ge=1, le=HOLDS_MAX)] = HOLDS_DEFAULT,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> Response:
    """The totals are those of `GET /portfolio`, of the same moment as the page."""
    before = decode_cursor(cursor) if cursor is not None else None
    # One more than asked for tells whether there is a next page.
    page = await account_reads.holds_page(node.pool, user.user_id, limit=limit + 1, before=before)
    if page is None:
        raise no_account()
    holds = page.holds[:limit]
    last = holds[-1] if len(page.holds) > limit else None
    return json_response(
        {
            "items": [hold_view(hold) for hold in holds],
            "nextCursor": encode_cursor(last.since, last.order_id) if last else None,
            "heldCashInCents": page.held_cents,
            "heldShares": [
                {"symbol": symbol, "heldShares": shares}
                for symbol, shares in page.held_shares.items()
            ],
            "asOfSeq": page.as_of_seq,
        }
    )


def hold_view(hold: Hold) -> dict[str, object]:
    """A hold as its owner sees it."""
    is_buy = hold.side is Side.BUY
    return {
        "orderId": hold.order_id,
        "position": hold.side.value,
        "symbol": hold.symbol,
        "status": hold.status,
        "shares": hold.shares,
        "sentPriceInCents": hold.price_cents,
        "heldCashInCents": hold.amount if is_buy else None,
        "heldShares": None if is_buy else hold.amount,
        "since": format_time(hold.since),
        "why": "executed" if hold.ended else "open",
    }


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
        "state": portfolio.state.value if portfolio.state else None,
        "cashInCents": portfolio.cash_cents,
        "heldCashInCents": portfolio.held_cents,
        "buyingPowerInCents": portfolio.cash_cents - portfolio.held_cents,
        "positions": positions,
        "totalValueInCents": total,
        "asOfSeq": portfolio.as_of_seq,
        "at": format_time(at),
    }
