import json

import httpx

from tests.unit.client.fake_sherwood import (
    ORDER,
    ORDER_ID,
    PENDING,
    TICK,
    FakeSherwood,
    Run,
    event_stream,
    problem,
)

LISTED = TICK | {"name": "Meta Platforms"}
HELLO = b'event: hello\ndata: {"streamId": "s1", "heartbeatSeconds": 5}\n\n'


def test_orders_are_aligned_columns_without_borders(server: FakeSherwood, run: Run) -> None:
    market = PENDING | {"type": "market", "position": "sell", "numShares": 1_000}
    page = {"items": [ORDER, market], "nextCursor": None}
    server.answer("GET", "/orders", httpx.Response(200, json=page))

    result = run("orders", "--status", "open", "--symbol", "meta")

    heading, filled, pending = result.stdout.splitlines()
    headings = "ID SIDE SYMBOL SHARES FILLED LIMIT AVERAGE STATUS PLACED (UTC)"
    assert " ".join(heading.split()) == headings
    assert filled.split() == (
        f"{ORDER_ID} buy META 10 10 522.10 522.10 filled 2026-03-02 14:30:00".split()
    )
    assert pending.split()[3:8] == ["1,000", "0", "market", "-", "pending"]
    assert filled.index(" filled") == pending.index(" pending")
    assert dict(server.requests[0].url.params) == {
        "status": "open",
        "symbol": "META",
        "limit": "50",
    }


def test_orders_are_fetched_page_by_page_up_to_the_limit(server: FakeSherwood, run: Run) -> None:
    server.answer(
        "GET",
        "/orders",
        httpx.Response(200, json={"items": [ORDER] * 200, "nextCursor": "b"}),
        httpx.Response(200, json={"items": [ORDER] * 50, "nextCursor": "c"}),
    )

    result = run("orders", "--limit", "250", "--json")

    page = json.loads(result.stdout)
    assert (len(page["items"]), page["nextCursor"]) == (250, "c")
    assert [dict(request.url.params) for request in server.requests] == [
        {"limit": "200"},
        {"limit": "50", "cursor": "b"},
    ]


def test_portfolio_shows_cash_and_positions(server: FakeSherwood, run: Run) -> None:
    body = {
        "userId": "alice",
        "cashInCents": 10_000_000,
        "heldCashInCents": 522_100,
        "buyingPowerInCents": 9_477_900,
        "state": "active",
        "positions": [
            {
                "symbol": "META",
                "shares": 100,
                "heldShares": 10,
                "priceInCents": 52_210,
                "valueInCents": 5_221_000,
            },
            {
                "symbol": "NEW",
                "shares": 1,
                "heldShares": 0,
                "priceInCents": None,
                "valueInCents": None,
            },
        ],
        "totalValueInCents": 15_221_000,
        "asOfSeq": 12,
        "at": "2026-03-02T14:30:00Z",
    }
    server.answer("GET", "/portfolio", *[httpx.Response(200, json=body) for _ in range(2)])

    result = run("portfolio")

    assert result.stdout.splitlines() == [
        "cash                  100,000.00",
        "held for open orders    5,221.00",
        "buying power           94,779.00",
        "total value           152,210.00",
        "",
        "SYMBOL  SHARES  HELD   PRICE      VALUE",
        "META       100    10  522.10  52,210.00",
        "NEW          1     0       -          -",
    ]
    assert json.loads(run("portfolio", "--json").stdout) == body


def test_symbols_are_listed_with_name_and_change(server: FakeSherwood, run: Run) -> None:
    server.answer("GET", "/symbols", httpx.Response(200, json={"items": [LISTED]}))

    result = run("symbols")

    assert result.stdout.splitlines()[1].split() == (
        ["META", "Meta", "Platforms", "522.10", "+2.10", "+0.40%", "1,250,400"]
    )


def test_one_symbol_is_asked_for_by_name(server: FakeSherwood, run: Run) -> None:
    server.answer("GET", "/symbol/META", httpx.Response(200, json=LISTED))

    result = run("symbols", "meta", "--json")

    assert json.loads(result.stdout)["items"] == [LISTED]


def test_watch_writes_a_line_a_price_and_ends_at_the_count(server: FakeSherwood, run: Run) -> None:
    batch = [TICK, TICK | {"symbol": "AAPL", "priceInCents": 19_900, "openInCents": 20_000}]
    data = b"event: prices\ndata: " + json.dumps(batch).encode() + b"\n\n"
    server.answer("POST", "/subscribe", event_stream(HELLO, data))

    result = run("watch", "meta", "AAPL", "--count", "2")

    assert result.exit_code == 0
    assert [line.split() for line in result.stdout.splitlines()] == [
        ["14:30:00.125", "META", "522.10", "+2.10", "+0.40%"],
        ["14:30:00.125", "AAPL", "199.00", "-1.00", "-0.50%"],
    ]


def test_watch_as_json_is_one_object_a_line(server: FakeSherwood, run: Run) -> None:
    prices = b"event: prices\ndata: " + json.dumps([TICK]).encode() + b"\n\n"
    newer = b"event: prices\ndata: " + json.dumps([TICK | {"v": 8}]).encode() + b"\n\n"
    server.answer(
        "POST",
        "/subscribe",
        event_stream(HELLO, prices, b"event: stale\ndata: {}\n\n"),
        event_stream(HELLO, b"event: live\ndata: {}\n\n", newer),
    )

    result = run("watch", "META", "--count", "2", "--json")

    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line.pop("event") for line in lines] == (
        ["connected", "price", "stale", "disconnected", "connected", "live", "price"]
    )
    assert lines[1] == TICK


def test_watch_that_sees_no_price_in_time_is_unavailable(server: FakeSherwood, run: Run) -> None:
    server.answer("POST", "/subscribe", event_stream(HELLO))

    result = run("watch", "META", "--count", "1", "--seconds", "0")

    assert result.exit_code == 7


def test_watch_of_an_unknown_symbol_is_refused(server: FakeSherwood, run: Run) -> None:
    server.answer("POST", "/subscribe", problem(404, "unknown-symbol"))

    assert run("watch", "NOPE").exit_code == 4


CLOCK = {
    "at": "2026-11-23T14:30:00.125000Z",
    "exchangeAt": "2026-11-23T14:29:59.900000Z",
    "feed": "live",
    "isOpen": True,
    "sessions": "off",
    "nextOpenAt": "2026-11-24T14:30:00Z",
    "nextCloseAt": "2026-11-23T21:00:00Z",
    "halted": ["AAPL", "META"],
}


def test_clock_says_whether_the_market_is_open_and_what_is_halted(
    server: FakeSherwood, run: Run
) -> None:
    server.answer("GET", "/clock", httpx.Response(200, json=CLOCK))

    assert run("clock").stdout.splitlines() == [
        "market                  open, orders are taken around the clock",
        "halted                  AAPL, META",
        "now                     2026-11-23 14:30:00",
        "at the exchange         2026-11-23 14:29:59",
        "regular session opens   2026-11-24 14:30:00",
        "regular session closes  2026-11-23 21:00:00",
    ]


def test_clock_without_a_feed_says_that_it_is_not_known(server: FakeSherwood, run: Run) -> None:
    unknown = dict.fromkeys(CLOCK) | {"at": CLOCK["at"], "feed": "stale"}
    server.answer("GET", "/clock", *[httpx.Response(200, json=unknown)] * 2)

    market, halted, *_, closes = run("clock").stdout.splitlines()

    assert market == "market                  not known: the exchange's feed is silent"
    assert halted == "halted                  not known: the exchange's feed is silent"
    assert closes == "regular session closes  -"
    assert json.loads(run("clock", "--json").stdout)["isOpen"] is None


def test_portfolio_of_a_frozen_account_says_so_first(server: FakeSherwood, run: Run) -> None:
    body = {
        "userId": "alice",
        "state": "frozen",
        "cashInCents": 0,
        "heldCashInCents": 0,
        "buyingPowerInCents": 0,
    }
    server.answer("GET", "/portfolio", httpx.Response(200, json=body))

    assert run("portfolio").stdout.splitlines()[0] == "this account is frozen"


def test_why_says_a_sentence_and_then_the_facts_it_rests_on(server: FakeSherwood, run: Run) -> None:
    why = {
        "orderId": ORDER_ID,
        "at": "2026-03-02T14:35:00Z",
        "waitsFor": "price-not-reached",
        "explanation": "The best price since, $522.50, is $0.40 from its $522.10.",
        "status": "partially_filled",
        "reason": None,
        "limitInCents": 52_210,
        "numShares": 10,
        "filledShares": 4,
        "leavesShares": 6,
        "lastFillAt": "2026-03-02T14:31:00Z",
        "lastPriceInCents": 52_260,
        "lastPriceAt": "2026-03-02T14:34:59Z",
        "bestPriceInCents": 52_250,
        "distanceInCents": 40,
        "traded": {
            "interval": "1s",
            "since": "2026-03-02T14:30:00.125000Z",
            "until": "2026-03-02T14:34:59.900000Z",
            "bestPriceInCents": 52_250,
            "reachedVolume": 1_200,
            "missedVolume": 0,
        },
    }
    server.answer("GET", f"/order/{ORDER_ID}/why", *[httpx.Response(200, json=why)] * 2)

    assert run("why", ORDER_ID).stdout.splitlines() == [
        "The best price since, $522.50, is $0.40 from its $522.10.",
        "",
        "waits for            price-not-reached",
        "limit sent           522.10",
        "best price           522.50 since 2026-03-02 14:30:00 UTC",
        "still away           0.40",
        "last price           522.60 at 2026-03-02 14:34:59 UTC",
        "traded at its limit  1,200 shares since 2026-03-02 14:30:00 UTC, by bars of 1s",
        "since its last fill  0 shares",
        "filled               4 of 10",
        "still to fill        6",
    ]
    assert json.loads(run("why", ORDER_ID, "--json").stdout)["distanceInCents"] == 40
