import json
from collections.abc import Callable

import httpx
import pytest
from typer.testing import CliRunner

from client.command.cli import app
from tests.unit.client.fake_sherwood import (
    KEY,
    ORDER,
    ORDER_ID,
    PENDING,
    REJECTED,
    FakeSherwood,
    Run,
    Step,
    problem,
)


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


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_what_is_to_be_simulated_goes_in_a_header_of_its_own(
    server: FakeSherwood, run: Run, side: str
) -> None:
    server.answer("POST", "/order", httpx.Response(201, json=ORDER))

    run(side, "META", "10", "--simulate", "late-fill")
    run(side, "META", "10")

    assert server.sent("Sherwood-Simulate") == ["late-fill", None]


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


def test_address_that_is_none_is_wrong_usage() -> None:
    result = CliRunner().invoke(app, ["portfolio"], env={"SHERWOOD_API_URL": "nonsense"})

    assert result.exit_code == 2
    assert "SHERWOOD_API_URL" in result.stderr


def test_help_tells_the_exit_codes(run: Run) -> None:
    result = run("--help")

    told = " ".join(result.stdout.split())
    assert "5 no token, or not a good one" in told
    assert "8 too many requests" in told
