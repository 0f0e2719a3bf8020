import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner, Result

from client._session import Wiring
from client.cli import app
from tests.unit.client.fake_sherwood import (
    KEY,
    ORDER,
    ORDER_ID,
    PENDING,
    REJECTED,
    TICK,
    FakeSherwood,
    Naps,
    Step,
    event_stream,
    problem,
)

Run = Callable[..., Result]
LISTED = TICK | {"name": "Meta Platforms"}
HELLO = b'event: hello\ndata: {"streamId": "s1", "heartbeatSeconds": 5}\n\n'


@pytest.fixture
def run(server: FakeSherwood, naps: Naps, tmp_path: Path) -> Run:
    """Run the command as in a pipe, with a token."""

    def invoke(*words: str, token: str | None = "t0ken") -> Result:
        environment = {
            "SHERWOOD_API_URL": "http://sherwood.test",
            "SHERWOOD_TOKEN": token,
            "SHERWOOD_USER": None,
            "XDG_CACHE_HOME": str(tmp_path),
            "FORCE_COLOR": None,
        }
        wiring = Wiring(http_transport=server, sleep=naps)
        return CliRunner().invoke(app, list(words), env=environment, obj=wiring)

    return invoke


def test_token_is_printed_alone(server: FakeSherwood, run: Run) -> None:
    server.answer("POST", "/dev/token", httpx.Response(200, json={"token": "abc[b].def"}))

    result = run("token", "alice", "--operator", token=None)

    assert (result.exit_code, result.stdout) == (0, "abc[b].def\n")
    assert json.loads(server.requests[0].content) == {"user": "alice", "scope": "operator"}


def test_purchase_is_told_in_one_line_that_begins_with_its_id(
    server: FakeSherwood, run: Run
) -> None:
    server.answer("POST", "/order", httpx.Response(201, json=ORDER))

    result = run("buy", "meta", "10", "--limit", "522.10", "--tif", "gtc", "--key", KEY)

    assert result.exit_code == 0
    assert result.stdout == (f"{ORDER_ID}  buy 10 META at 522.10: filled, 10 of 10 at 522.10\n")
    sent = json.loads(server.requests[0].content)
    assert (sent["symbol"], sent["priceInCents"], sent["timeInForce"]) == ("META", 52_210, "gtc")
    assert server.sent("Idempotency-Key") == [KEY]


def test_sale_as_json_is_the_order_as_served(server: FakeSherwood, run: Run) -> None:
    sold = ORDER | {"position": "sell"}
    server.answer("POST", "/order", httpx.Response(201, json=sold))

    result = run("sell", "META", "10", "--json")

    assert json.loads(result.stdout) == sold
    assert result.stderr == ""


@pytest.mark.parametrize(
    "words",
    [
        ("buy", "META", "0"),
        ("buy", "META", "-1"),
        ("buy", "META", "1.5"),
        ("buy", "META", "10", "--limit", "5.001"),
        ("buy", "META", "10", "--limit", "0"),
        ("buy", "META", "10", "--tif", "fok"),
        ("buy", "META", "10", "--key", "mine"),
        ("cancel", "12"),
        ("orders", "--limit", "0"),
        ("watch",),
        ("fly",),
    ],
)
def test_wrong_usage_sends_nothing(server: FakeSherwood, run: Run, words: tuple[str, ...]) -> None:
    result = run(*words)

    assert result.exit_code == 2
    assert server.requests == []


def test_missing_token_says_how_to_get_one(server: FakeSherwood, run: Run) -> None:
    result = run("buy", "META", "10", token=None)

    assert result.exit_code == 5
    assert "SHERWOOD_TOKEN" in result.stderr
    assert "--user NAME" in result.stderr
    assert server.requests == []


def test_named_user_gets_a_token_of_their_own(server: FakeSherwood, run: Run) -> None:
    server.answer("POST", "/dev/token", httpx.Response(200, json={"token": "alices"}))
    server.answer("POST", "/order", httpx.Response(201, json=ORDER))

    result = run("buy", "META", "10", "--user", "alice")

    assert result.exit_code == 0
    assert server.sent("Authorization") == [None, "Bearer alices"]


@pytest.mark.parametrize(
    ("answer", "exit_code"),
    [
        (httpx.Response(200, text="what?"), 6),
        (problem(400, "malformed-key"), 3),
        (problem(422, "insufficient-buying-power", order=REJECTED), 3),
        (problem(409, "key-in-use"), 3),
        (problem(404, "gone"), 4),
        (problem(401, "token-expired"), 5),
        (problem(403, "scope"), 5),
        (problem(429, "rate-limited"), 8),
        (problem(503, "market-closed", headers={"Retry-After": "3600"}), 7),
        (httpx.Response(202, json=PENDING), 6),
        (httpx.Response(201, json=REJECTED), 3),
    ],
)
def test_exit_code_says_what_became_of_a_placement(
    server: FakeSherwood, run: Run, answer: Step, exit_code: int
) -> None:
    server.answer("POST", "/order", answer)

    assert run("buy", "META", "10").exit_code == exit_code


@pytest.mark.parametrize(
    ("failure", "exit_code"),
    [(httpx.ConnectError("refused"), 7), (httpx.ReadTimeout("slow"), 6)],
)
def test_placement_without_any_answer_is_unreachable_or_unknown(
    server: FakeSherwood, run: Run, failure: Exception, exit_code: int
) -> None:
    server.answer("POST", "/order", *[failure] * 5)

    result = run("buy", "META", "10", "--key", KEY)

    assert result.exit_code == exit_code
    assert "attempt 5 of 5" in result.stderr
    assert (f"--key {KEY}" in result.stderr) is (exit_code == 6)


@pytest.mark.parametrize(
    ("answer", "exit_code"),
    [
        (lambda _: httpx.Response(500), 1),
        (lambda _: httpx.Response(200, text="what?"), 1),
        (lambda _: httpx.ConnectError("refused"), 7),
    ],
)
def test_exit_code_says_why_a_question_has_no_answer(
    server: FakeSherwood, run: Run, answer: Callable[[None], Step], exit_code: int
) -> None:
    server.answer("GET", "/portfolio", *[answer(None) for _ in range(5)])

    assert run("portfolio").exit_code == exit_code


def test_refusal_is_told_with_its_order(server: FakeSherwood, run: Run) -> None:
    server.answer("POST", "/order", problem(422, "insufficient-buying-power", order=REJECTED))

    result = run("buy", "META", "10")

    assert result.stdout == ""
    assert "about insufficient-buying-power (insufficient-buying-power)" in result.stderr
    assert f"{ORDER_ID}  buy 10 META at 522.10: rejected" in result.stderr


def test_refusal_as_json_is_one_object_on_standard_error(server: FakeSherwood, run: Run) -> None:
    server.answer(
        "POST",
        "/order",
        problem(422, "insufficient-buying-power", order=REJECTED, required=522_100),
    )

    result = run("buy", "META", "10", "--json")

    error = json.loads(result.stderr)["error"]
    assert (error["code"], error["status"], error["required"]) == (
        "insufficient-buying-power",
        422,
        522_100,
    )
    assert error["order"] == REJECTED


@pytest.mark.parametrize("words", [(), ("--json",)])
def test_interrupted_placement_is_unknown_and_names_its_key(
    server: FakeSherwood, run: Run, words: tuple[str, ...]
) -> None:
    def interrupt(_: httpx.Request) -> httpx.Response:
        raise KeyboardInterrupt

    server.answer("POST", "/order", interrupt)

    result = run("buy", "META", "10", "--key", KEY, *words)

    assert result.exit_code == 6
    assert KEY in result.stderr


def test_unknown_outcome_can_be_waited_for(server: FakeSherwood, run: Run) -> None:
    server.answer("POST", "/order", httpx.Response(202, json=PENDING))
    server.answer("GET", f"/order/{ORDER_ID}", httpx.Response(200, json=ORDER))

    result = run("buy", "META", "10", "--wait", "30")

    assert result.exit_code == 0
    assert "filled" in result.stdout


def test_unknown_outcome_names_the_key_to_repeat(server: FakeSherwood, run: Run) -> None:
    server.answer("POST", "/order", httpx.Response(202, json=PENDING))

    result = run("buy", "META", "10")

    assert result.exit_code == 6
    assert server.sent("Idempotency-Key")[0] in result.stderr.split()


@pytest.mark.parametrize(
    ("answer", "exit_code"),
    [
        (httpx.Response(200, json={"ok": True, "order": ORDER | {"status": "cancelled"}}), 0),
        (httpx.Response(202, json={"ok": False, "order": ORDER | {"status": "pending_cancel"}}), 6),
        (problem(409, "too-late", order=ORDER), 3),
        (problem(404, "no-such-order"), 4),
    ],
)
def test_exit_code_says_what_became_of_a_cancel(
    server: FakeSherwood, run: Run, answer: Step, exit_code: int
) -> None:
    server.answer("DELETE", f"/order/{ORDER_ID}", answer)

    assert run("cancel", ORDER_ID).exit_code == exit_code


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


def test_address_that_is_none_is_wrong_usage(run: Run) -> None:
    result = CliRunner().invoke(app, ["portfolio"], env={"SHERWOOD_API_URL": "nonsense"})

    assert result.exit_code == 2
    assert "SHERWOOD_API_URL" in result.stderr


def test_help_tells_the_exit_codes(run: Run) -> None:
    result = run("--help")

    told = " ".join(result.stdout.split())
    assert "5 no token, or not a good one" in told
    assert "8 too many requests" in told
