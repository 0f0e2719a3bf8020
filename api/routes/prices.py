"""Prices: the last one of a symbol, and the directory of all symbols."""

from bisect import bisect_right
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from api.auth import CurrentUser
from api.documentation import TOKEN_PROBLEMS, SymbolName, problems
from api.errors import ProblemError
from api.stream_schemas import TickBody
from api.symbols import check_loaded, check_traded
from brokerage.bus.connection import BusUnavailable
from brokerage.bus.last_price import LastPrices
from brokerage.bus.tick import untraded
from streaming.directory import Directory

PAGE_MAX: Final = 10_000

router = APIRouter(tags=["prices"])


class SymbolItem(TickBody):
    """The last tick of a symbol, and its name. All but the two are null if it never traded."""

    name: str = Field(examples=["Meta Platforms"])


class SymbolPage(BaseModel):
    """Symbols in alphabetical order."""

    items: list[SymbolItem]
    nextCursor: str | None = Field(examples=[None])


@router.get(
    "/symbols",
    summary="List the symbols",
    response_class=Response,
    responses={
        200: {"model": SymbolPage},
        **problems(*TOKEN_PROBLEMS, "invalid-request", "unavailable"),
    },
)
async def list_symbols(
    request: Request,
    user: CurrentUser,
    cursor: Annotated[str | None, Query(description="`nextCursor` of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = PAGE_MAX,
) -> Response:
    """Every symbol that is traded, with its last tick."""
    directory: Directory = request.app.state.directory
    check_loaded(directory)
    start = bisect_right(directory.symbols, cursor) if cursor is not None else 0
    page = directory.symbols[start : start + limit]
    more = start + limit < len(directory.symbols)
    items = await _items(request, directory, page)
    next_cursor = msgspec.json.encode(page[-1] if more else None)
    return _json(b'{"items":[%b],"nextCursor":%b}' % (b",".join(items), next_cursor))


@router.get(
    "/symbol/{name}",
    summary="Read a symbol",
    response_class=Response,
    responses={
        200: {"model": SymbolItem},
        **problems(*TOKEN_PROBLEMS, "symbol-not-found", "unavailable"),
    },
)
async def read_symbol(request: Request, user: CurrentUser, name: SymbolName) -> Response:
    """The last tick of one symbol."""
    directory: Directory = request.app.state.directory
    check_traded(directory, name)
    return _json((await _items(request, directory, [name]))[0])


async def _items(request: Request, directory: Directory, symbols: list[str]) -> list[bytes]:
    last_prices: LastPrices = request.app.state.last_prices
    try:
        fragments = await last_prices.fragments(symbols)
    except BusUnavailable as error:
        raise ProblemError("unavailable", "prices cannot be read now") from error
    # The tick is JSON already: the name goes in before its closing brace.
    return [
        (fragments.get(symbol) or untraded(symbol))[:-1]
        + b',"name":%b}' % msgspec.json.encode(directory.name_of(symbol))
        for symbol in symbols
    ]


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json", headers={"Cache-Control": "no-store"})
