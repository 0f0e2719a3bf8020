"""The clock: what time it is, here and at the exchange, and whether it takes orders."""

from datetime import UTC, datetime
from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from api.auth import CurrentUser
from api.bodies import json_response
from api.documentation import TOKEN_PROBLEMS, problems
from api.node import Node
from api.schemas import TIME_EXAMPLE
from brokerage.bus.beat import Beat
from brokerage.contracts.views import format_time

router = APIRouter(tags=["prices"])


class ClockBody(BaseModel):
    """The time, and whether the exchange takes orders; null is what nobody knows at this moment.

    `nextOpenAt` and `nextCloseAt` are those of the regular session (weekdays, 09:30 to 16:00 in New
    York). It binds if `sessions` is `regular`; `off`: orders are taken around the clock; `closed`:
    the exchange takes none until it says otherwise.
    """

    at: str = Field(description="Now, at this server.", examples=[TIME_EXAMPLE])
    exchangeAt: str | None = Field(
        description="The exchange's own time at its last heartbeat.", examples=[TIME_EXAMPLE]
    )
    feed: Literal["live", "stale"]
    isOpen: bool | None
    sessions: Literal["off", "regular", "closed"] | None
    nextOpenAt: str | None = Field(examples=["2026-11-24T14:30:00.000000Z"])
    nextCloseAt: str | None = Field(examples=["2026-11-23T21:00:00.000000Z"])
    halted: list[str] | None = Field(description="Symbols not traded now.", examples=[["AAPL"]])


@router.get(
    "/clock",
    summary="Whether the market is open",
    responses={200: {"model": ClockBody}, **problems(*TOKEN_PROBLEMS)},
)
async def read_clock(user: CurrentUser, node: Node) -> Response:
    """Answered whatever is away: what nobody knows at this moment is null, and `feed` is `stale`.

    No order is taken while it is.
    """
    beat = node.hub.beat if node.has("hub") else None
    return json_response(clock_view(beat, datetime.now(UTC)), headers={"cache-control": "no-store"})


def clock_view(beat: Beat | None, now: datetime) -> dict[str, object]:
    """The public fields; `beat` is the feed's newest, None if it is not live."""
    view: dict[str, object] = {
        "at": format_time(now),
        "exchangeAt": None,
        "feed": "stale",
        "isOpen": None,
        "sessions": None,
        "nextOpenAt": None,
        "nextCloseAt": None,
        "halted": None,
    }
    if beat is not None:
        trading = beat.trading
        view |= {
            "exchangeAt": _time(beat.at),
            "feed": "live",
            "isOpen": trading.is_open,
            "sessions": trading.sessions,
            "nextOpenAt": _time(trading.next_open_ms),
            "nextCloseAt": _time(trading.next_close_ms),
            "halted": sorted(trading.halted),
        }
    return view


def _time(at_ms: int | None) -> str | None:
    return None if at_ms is None else format_time(datetime.fromtimestamp(at_ms / 1000, UTC))
