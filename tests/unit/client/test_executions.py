import json
from typing import Any

import httpx

from tests.unit.client.fake_sherwood import ORDER_ID, FakeSherwood, Run

BOOKED: dict[str, Any] = {
    "id": "E1-104",
    "orderId": ORDER_ID,
    "position": "buy",
    "symbol": "META",
    "shares": 10,
    "priceInCents": 52200,
    "notionalInCents": 522_000,
    "sentPriceInCents": 52210,
    "priceImprovementInCents": 100,
    "status": "booked",
    "was": None,
    "at": "2026-03-02T14:30:00.125000Z",
    "bookedAt": "2026-03-02T14:30:00.180000Z",
    "amendedAt": None,
}
BUSTED = BOOKED | {
    "id": "E1-103",
    "shares": 0,
    "priceInCents": None,
    "notionalInCents": 0,
    "priceImprovementInCents": 0,
    "status": "busted",
    "was": {"shares": 10, "priceInCents": 52190, "notionalInCents": 521_900},
    "amendedAt": "2026-03-02T15:30:00.125000Z",
}


def test_executions_are_shown_with_what_they_were(server: FakeSherwood, run: Run) -> None:
    page = {"items": [BOOKED, BUSTED], "nextCursor": None, "asOfSeq": 7}
    server.answer("GET", "/executions", httpx.Response(200, json=page))

    result = run("executions", "--symbol", "meta", "--order", ORDER_ID)

    heading, booked, busted = result.stdout.splitlines()
    assert heading.split()[:6] == ["ID", "SIDE", "SYMBOL", "SHARES", "PRICE", "NOTIONAL"]
    assert " ".join(booked.split()) == (
        "E1-104 buy META 10 522.00 5,220.00 +1.00 booked - 2026-03-02 14:30:00"
    )
    assert "busted  10 at 521.90" in busted
    assert dict(server.requests[0].url.params) == {
        "symbol": "META",
        "orderId": ORDER_ID,
        "limit": "50",
    }


def test_executions_are_fetched_page_by_page_up_to_the_limit(
    server: FakeSherwood, run: Run
) -> None:
    server.answer(
        "GET",
        "/executions",
        httpx.Response(200, json={"items": [BOOKED] * 200, "nextCursor": "b", "asOfSeq": 7}),
        httpx.Response(200, json={"items": [BUSTED] * 50, "nextCursor": "c", "asOfSeq": 7}),
    )

    result = run("executions", "--limit", "250", "--json")

    page = json.loads(result.stdout)
    assert (len(page["items"]), page["nextCursor"], page["items"][249]) == (250, "c", BUSTED)
    assert server.requests[1].url.params["cursor"] == "b"


def test_who_has_no_executions_is_told_so(server: FakeSherwood, run: Run) -> None:
    server.answer("GET", "/executions", httpx.Response(200, json={"items": [], "asOfSeq": 0}))

    result = run("executions")

    assert (result.exit_code, result.stdout) == (0, "")
    assert "no executions" in result.stderr
