"""The past: bars of a symbol, and what an account was worth."""

from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Query, Response

from api.auth import CurrentUser
from api.bodies import json_response
from api.cursor import MICROSECOND, decode_bar_cursor, encode_bar_cursor
from api.documentation import TOKEN_PROBLEMS, SymbolName, problems
from api.errors import ProblemError, no_account
from api.history_reads import reading_history
from api.live_prices import live_prices
from api.node import Node
from api.schemas import BarsBody, IntervalName, PortfolioHistoryBody, WindowName
from api.symbols import check_traded
from api.times import parse_time
from brokerage.contracts.views import format_time
from brokerage.domain.ledger import CASH
from brokerage.domain.timeline import Timeline, Window, timeline
from brokerage.domain.valuation import History, value_history
from brokerage.storage import reads
from brokerage.storage.bar_reads import FAR_AHEAD, INTERVALS, LONG_AGO, bars_page, closes_at

router = APIRouter(tags=["history"])

BARS_MAX: Final = 5_000
BARS_DEFAULT: Final = 500

_FROM: Final = "RFC 3339, or a date for its midnight in UTC. Bars that begin then or later."
_TO: Final = "RFC 3339, or a date for its midnight in UTC. Bars that begin before."


@router.get(
    "/symbol/{name}/bars",
    response_class=Response,
    summary="A symbol's price history",
    responses={
        200: {"model": BarsBody},
        **problems(
            *TOKEN_PROBLEMS,
            "symbol-not-found",
            "invalid-request",
            "invalid-range",
            "range-not-kept",
            "overloaded",
            "unavailable",
        ),
    },
)
async def read_bars(
    name: SymbolName,
    user: CurrentUser,
    node: Node,
    interval: Annotated[
        IntervalName,
        Query(description="How long a bar is: `1s` is kept for 2 days, `1d` for ever, else 90."),
    ] = "1m",
    begin: Annotated[str | None, Query(alias="from", max_length=64, description=_FROM)] = None,
    end: Annotated[str | None, Query(alias="to", max_length=64, description=_TO)] = None,
    limit: Annotated[int, Query(ge=1, le=BARS_MAX)] = BARS_DEFAULT,
    cursor: Annotated[
        str | None, Query(max_length=200, description="`nextCursor` of the page before.")
    ] = None,
) -> Response:
    """Ascending. Without `from` the last `limit` bars before `to`, or up to now; with it pages of
    `limit`, `nextCursor` being null on the last one.

    A bar counts trades by the time at which the exchange sent them. An interval without a trade has
    no bar; the newest bar grows until it is over.
    """
    check_traded(node.directory, name)
    length = INTERVALS[interval]
    begins_at = None if begin is None else max(parse_time("from", begin), LONG_AGO)
    ends_at = FAR_AHEAD if end is None else min(parse_time("to", end), FAR_AHEAD)
    if begins_at is not None and begins_at >= ends_at:
        raise ProblemError("invalid-range", "`from` is not before `to`")
    if cursor is not None:
        begins_at = decode_bar_cursor(cursor, interval) + MICROSECOND
    kept_from = length.kept_from(datetime.now(UTC))
    if ends_at <= kept_from or (begins_at is not None and begins_at < kept_from):
        raise ProblemError(
            "range-not-kept",
            f"bars of {interval} are kept from {format_time(kept_from)} on",
            keptFrom=format_time(kept_from),
        )
    async with reading_history(node):
        bars = await bars_page(
            node.pool,
            name,
            length,
            begin=begins_at or kept_from,
            end=ends_at,
            # One more than asked for tells whether there is a next page.
            limit=limit if begins_at is None else limit + 1,
            newest=begins_at is None,
        )
    more = len(bars) > limit
    next_cursor = encode_bar_cursor(bars[limit - 1].start, interval) if more else None
    page = {"items": bars[:limit], "nextCursor": next_cursor}
    return Response(msgspec.json.encode(page), media_type="application/json")


@router.get(
    "/portfolio/history",
    summary="What your account was worth over time",
    responses={
        200: {"model": PortfolioHistoryBody},
        **problems(*TOKEN_PROBLEMS, "no-account", "invalid-request", "overloaded", "unavailable"),
    },
)
async def read_portfolio_history(
    user: CurrentUser,
    node: Node,
    window: Annotated[
        WindowName,
        Query(description="How far back: a month is 30 days, `all` begins at the opening."),
    ] = "1d",
) -> Response:
    """Ascending, from the account's opening at the earliest, up to now.

    Computed from the ledger and the bars' closes, the last one carried forward; the last point is
    at the live prices where there are any.
    """
    async with reading_history(node):
        account = await reads.account_age(node.pool, user.user_id)
        if account is None:
            raise no_account()
        line = timeline(Window(window), account.opened_at, datetime.now(UTC), account.symbols)
        flows = await reads.ledger_flows(node.pool, user.user_id, line.points)
        symbols = sorted({flow.asset for flow in flows if flow.amount and flow.asset != CASH})
        closes = await closes_at(node.pool, symbols, line) if symbols else {}
    history = value_history(line, flows, closes, await live_prices(node, symbols))
    return json_response(history_view(window, account.opened_at, line, history))


def history_view(
    window: WindowName, opened_at: datetime, line: Timeline, history: History
) -> dict[str, object]:
    """The history as clients see it."""
    first, last = history.points[0], history.points[-1]
    profit = None
    if first.profit_cents is not None and last.profit_cents is not None:
        profit = last.profit_cents - first.profit_cents
    return {
        "window": window,
        "step": line.step.name,
        "openedAt": format_time(opened_at),
        "baseValueInCents": first.value_cents,
        "windowProfitInCents": profit,
        "uncosted": history.uncosted,
        "points": [
            {
                "at": format_time(point.at),
                "valueInCents": point.value_cents,
                "cashInCents": point.cash_cents,
                "profitInCents": point.profit_cents,
                "unpriced": list(point.unpriced),
            }
            for point in history.points
        ],
    }
