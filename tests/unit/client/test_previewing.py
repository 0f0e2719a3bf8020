import json
from typing import Any

import httpx
import pytest

from tests.unit.client.fake_sherwood import ORDER_ID, FakeSherwood, Run, problem

TAKEN: dict[str, Any] = {
    "accepted": True,
    "problems": [],
    "sentPriceInCents": 54_820,
    "requiredCashInCents": 548_200,
    "requiredShares": 0,
    "estimatedNotionalInCents": 522_100,
    "buyingPowerInCents": 10_000_000,
    "buyingPowerAfterInCents": 9_451_800,
    "sellableShares": 0,
    "sellableSharesAfter": 0,
    "lastPriceInCents": 52_210,
    "lastPriceAt": "2026-03-02T14:30:00.125000Z",
    "asOfSeq": 12,
    "at": "2026-03-02T14:30:01Z",
}
REFUSED = TAKEN | {
    "accepted": False,
    "problems": [
        {"code": "insufficient-shares", "detail": "the order needs 10 shares", "required": 10}
    ],
    "requiredCashInCents": 0,
    "requiredShares": 10,
}
HOLD: dict[str, Any] = {
    "orderId": ORDER_ID,
    "position": "buy",
    "symbol": "META",
    "status": "submitted",
    "shares": 10,
    "sentPriceInCents": 52_210,
    "heldCashInCents": 522_100,
    "heldShares": None,
    "since": "2026-03-02T14:30:00.125000Z",
    "why": "open",
}
HOLDS: dict[str, Any] = {
    "items": [HOLD],
    "heldCashInCents": 522_100,
    "heldShares": [{"symbol": "IBM", "heldShares": 4}],
    "asOfSeq": 12,
    "nextCursor": None,
}


def test_preview_says_that_an_order_would_be_taken_and_what_it_costs(
    server: FakeSherwood, run: Run
) -> None:
    server.answer("POST", "/order/preview", httpx.Response(200, json=TAKEN))

    result = run("preview", "buy", "meta", "10", "--limit", "548.20", "--tif", "ioc")

    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "would be taken",
        "sent at                548.20",
        "last price             522.10",
        "estimated cost       5,221.00",
        "would hold           5,482.00",
        "buying power now   100,000.00",
        "buying power then   94,518.00",
    ]
    assert json.loads(server.requests[0].content) == {
        "position": "buy",
        "symbol": "META",
        "numShares": 10,
        "priceInCents": 54_820,
        "timeInForce": "ioc",
    }
    assert server.sent("Idempotency-Key") == [None]


def test_preview_names_what_refuses_an_order_and_fails(server: FakeSherwood, run: Run) -> None:
    server.answer("POST", "/order/preview", httpx.Response(200, json=REFUSED))

    result = run("preview", "sell", "META", "10")

    assert result.exit_code == 3
    assert result.stdout.splitlines()[:2] == [
        "would be refused",
        "  the order needs 10 shares (insufficient-shares)",
    ]
    assert "free shares now" in result.stdout


def test_preview_as_json_is_as_served(server: FakeSherwood, run: Run) -> None:
    server.answer("POST", "/order/preview", httpx.Response(200, json=REFUSED))

    assert json.loads(run("preview", "sell", "META", "10", "--json").stdout) == REFUSED


def test_preview_of_what_is_not_taken_now_is_unavailable(server: FakeSherwood, run: Run) -> None:
    server.answer("POST", "/order/preview", *[problem(503, "feed-stale") for _ in range(5)])

    assert run("preview", "buy", "META", "1").exit_code == 7


@pytest.mark.parametrize(
    "words", [("hold", "META", "1"), ("buy", "META"), ("buy", "META", "0"), ("buy", "META", "1.5")]
)
def test_wrong_usage_of_a_preview_sends_nothing(
    server: FakeSherwood, run: Run, words: tuple[str, ...]
) -> None:
    assert run("preview", *words).exit_code == 2
    assert server.requests == []


def test_holds_are_explained_below_what_they_add_up_to(server: FakeSherwood, run: Run) -> None:
    server.answer("GET", "/account/holds", httpx.Response(200, json=HOLDS))

    result = run("holds")

    lines = result.stdout.splitlines()
    assert lines[:3] == ["held cash  5,221.00", "held IBM          4", ""]
    assert lines[4].split() == [
        *(ORDER_ID, "buy", "META", "10", "522.10", "5,221.00", "open"),
        *("2026-03-02", "14:30:00"),
    ]


def test_holds_are_fetched_page_by_page_up_to_the_limit(server: FakeSherwood, run: Run) -> None:
    server.answer(
        "GET",
        "/account/holds",
        httpx.Response(200, json=HOLDS | {"items": [HOLD] * 200, "nextCursor": "b"}),
        httpx.Response(200, json=HOLDS | {"items": [HOLD] * 50, "nextCursor": "c"}),
    )

    result = run("holds", "--limit", "250", "--json")

    page = json.loads(result.stdout)
    assert (len(page["items"]), page["nextCursor"]) == (250, "c")
    assert [dict(request.url.params) for request in server.requests] == [
        {"limit": "200"},
        {"limit": "50", "cursor": "b"},
    ]


def test_nothing_held_is_told_in_one_line(server: FakeSherwood, run: Run) -> None:
    nothing = HOLDS | {"items": [], "heldCashInCents": 0, "heldShares": []}
    server.answer("GET", "/account/holds", httpx.Response(200, json=nothing))

    assert run("holds").stdout == "held cash  0.00\n"
