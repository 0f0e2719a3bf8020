import json

import httpx

from tests.unit.client.fake_sherwood import ORDER_ID, FakeSherwood, Run, problem

BORNE = {
    "cause": "uncovered-bust",
    "executionId": "E1-104",
    "reportId": "B1-2",
    "orderId": ORDER_ID,
    "userId": "alice",
    "symbol": "META",
    "amountInCents": 365_400,
    "shares": -7,
    "bookedAt": "2026-03-02T15:30:00.125000Z",
}
TOTALS = [
    {"cause": "uncovered-bust", "amountInCents": 365_400, "symbol": None, "shares": None},
    {"cause": "uncovered-bust", "amountInCents": None, "symbol": "META", "shares": -7},
]


def test_the_error_account_is_shown_with_its_causes(server: FakeSherwood, run: Run) -> None:
    account = {"items": [BORNE], "totals": TOTALS, "nextCursor": "more"}
    server.answer("GET", "/ops/error-account", httpx.Response(200, json=account))

    result = run("ops", "error-account", "--limit", "1")

    assert [" ".join(line.split()) for line in result.stdout.splitlines()] == [
        "CAUSE SYMBOL SHARES CASH",
        "uncovered-bust - - 3,654.00",
        "uncovered-bust META -7 -",
        "",
        "BOOKED (UTC) CAUSE SYMBOL SHARES CASH USER ORDER EXECUTION REPORT",
        f"2026-03-02 15:30:00 uncovered-bust META -7 3,654.00 alice {ORDER_ID} E1-104 B1-2",
    ]
    assert "--limit 2" in result.stderr


def test_the_error_account_is_fetched_page_by_page(server: FakeSherwood, run: Run) -> None:
    server.answer(
        "GET",
        "/ops/error-account",
        httpx.Response(200, json={"items": [BORNE], "totals": TOTALS, "nextCursor": "more"}),
        httpx.Response(200, json={"items": [BORNE], "totals": TOTALS, "nextCursor": None}),
    )

    result = run("ops", "error-account", "--json")

    account = json.loads(result.stdout)
    assert (account["items"], account["totals"]) == ([BORNE, BORNE], TOTALS)
    assert server.requests[1].url.params["cursor"] == "more"


def test_an_empty_error_account_is_good_news(server: FakeSherwood, run: Run) -> None:
    nothing: dict[str, list[object]] = {"items": [], "totals": []}
    server.answer("GET", "/ops/error-account", httpx.Response(200, json=nothing))

    result = run("ops", "error-account")

    assert (result.exit_code, result.stdout) == (0, "")
    assert "nothing" in result.stderr


def test_who_is_no_operator_does_not_see_it(server: FakeSherwood, run: Run) -> None:
    server.answer("GET", "/ops/error-account", problem(403, "operator-only"))

    assert run("ops", "error-account").exit_code == 5
