"""The past as the client reads it."""

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import httpx

from client.sherwood import Sherwood
from tests.unit.client.fake_sherwood import FakeSherwood

BAR: dict[str, Any] = {
    "at": "2026-03-02T14:30:00Z",
    "openInCents": 52210,
    "highInCents": 52260,
    "lowInCents": 52190,
    "closeInCents": 52240,
    "volume": 1800,
    "notionalInCents": 94_008_000,
    "trades": 12,
}
HISTORY: dict[str, Any] = {
    "window": "1w",
    "step": "1h",
    "openedAt": "2026-03-02T14:30:00.125000Z",
    "baseValueInCents": None,
    "windowProfitInCents": None,
    "uncosted": [],
    "points": [
        {
            "at": "2026-03-02T14:30:00.125000Z",
            "valueInCents": None,
            "cashInCents": 10_000,
            "profitInCents": None,
            "unpriced": ["META"],
        },
        {
            "at": "2026-03-02T15:00:00.000000Z",
            "valueInCents": 62_210,
            "cashInCents": 10_000,
            "profitInCents": -40,
            "unpriced": [],
        },
    ],
}


async def test_bars_are_asked_for_by_time_and_page(
    server: FakeSherwood, sherwood: Sherwood
) -> None:
    pages = [{"items": [BAR], "nextCursor": "n"}, {"items": [], "nextCursor": None}]
    server.answer("GET", "/symbol/META/bars", *[httpx.Response(200, json=page) for page in pages])
    eastern = timezone(timedelta(hours=-5))

    first = await sherwood.bars("META", "5m", begin=datetime(2026, 3, 2, 9, 30, tzinfo=eastern))
    last = await sherwood.bars("META", end=date(2026, 3, 3), limit=1, cursor=first.next_cursor)

    assert [dict(request.url.params) for request in server.requests] == [
        {"interval": "5m", "from": "2026-03-02T09:30:00-05:00"},
        {"interval": "1m", "to": "2026-03-03", "limit": "1", "cursor": "n"},
    ]
    (bar,) = first.items
    assert bar.at == datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
    assert (bar.close_cents, bar.notional_cents, bar.volume) == (52_240, 94_008_000, 1_800)
    assert (last.items, last.next_cursor) == ((), None)


async def test_zone_east_of_utc_arrives_as_it_was_sent(
    server: FakeSherwood, sherwood: Sherwood
) -> None:
    server.answer("GET", "/symbol/META/bars", httpx.Response(200, json={"items": []}))
    at = datetime(2026, 3, 2, 15, 30, tzinfo=timezone(timedelta(hours=1)))

    await sherwood.bars("META", begin=at)

    # A bare plus would be read as a space.
    assert b"%2B01" in server.requests[0].url.query


async def test_history_says_what_is_not_known(server: FakeSherwood, sherwood: Sherwood) -> None:
    server.answer("GET", "/portfolio/history", httpx.Response(200, json=HISTORY))

    history = await sherwood.portfolio_history("1w")

    assert dict(server.requests[0].url.params) == {"window": "1w"}
    assert (history.step, history.base_value_cents) == ("1h", None)
    assert history.opened_at == history.points[0].at
    assert [point.unpriced for point in history.points] == [("META",), ()]
    assert [point.value_cents for point in history.points] == [None, 62_210]
    assert history.points[1].profit_cents == -40
