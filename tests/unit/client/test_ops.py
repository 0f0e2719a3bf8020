import json

import httpx
import pytest

from tests.unit.client.fake_sherwood import FakeSherwood, Run, problem

EVERYBODYS = {"name": "order-shares", "subject": None, "value": 100_000}
ALICES = {"name": "order-shares", "subject": "alice", "value": 50}
ACCOUNT = {
    "userId": "alice",
    "state": "frozen",
    "openedAt": "2026-03-02T14:30:00.125000Z",
    "asOfSeq": 12,
}
ACT = {
    "id": 7,
    "at": "2026-03-02T14:30:00.125000Z",
    "operator": "olga",
    "address": "127.0.0.1",
    "act": "limit order-shares",
    "subject": "alice",
    "before": None,
    "after": 50,
    "reason": "a small account",
}


def test_limits_say_whose_they_are(server: FakeSherwood, run: Run) -> None:
    server.answer("GET", "/ops/limits", httpx.Response(200, json={"items": [EVERYBODYS, ALICES]}))

    result = run("ops", "limits", "--subject", "alice")

    assert result.stdout.splitlines() == [
        "LIMIT         OF           VALUE",
        "order-shares  everybody  100,000",
        "order-shares  alice           50",
    ]
    assert dict(server.requests[0].url.params) == {"subject": "alice"}


def test_limits_are_fetched_page_by_page(server: FakeSherwood, run: Run) -> None:
    server.answer(
        "GET",
        "/ops/limits",
        httpx.Response(200, json={"items": [EVERYBODYS], "nextCursor": "order-shares "}),
        httpx.Response(200, json={"items": [ALICES], "nextCursor": None}),
    )

    result = run("ops", "limits", "--json")

    assert json.loads(result.stdout)["items"] == [EVERYBODYS, ALICES]
    assert server.requests[1].url.params["cursor"] == "order-shares "


def test_a_limit_is_set_for_everybody_or_for_one(server: FakeSherwood, run: Run) -> None:
    server.answer("PUT", "/ops/limits/order-shares", httpx.Response(200, json=EVERYBODYS))
    server.answer("PUT", "/ops/limits/order-shares/alice", httpx.Response(200, json=ALICES))

    for_all = run("ops", "set-limit", "order-shares", "100000", "--reason", "as ever")
    for_one = run(
        *("ops", "set-limit", "order-shares", "50", "--subject", "alice"),
        *("--reason", "a small account"),
    )

    assert for_all.stdout == "order-shares of everybody: 100,000\n"
    assert for_one.stdout == "order-shares of alice: 50\n"
    assert [json.loads(request.content) for request in server.requests] == [
        {"value": 100_000, "reason": "as ever"},
        {"value": 50, "reason": "a small account"},
    ]


def test_a_limit_is_dropped_with_its_reason(server: FakeSherwood, run: Run) -> None:
    server.answer("DELETE", "/ops/limits/order-shares/alice", httpx.Response(204))

    result = run("ops", "drop-limit", "order-shares", "alice", "--reason", "grown up")

    assert (result.exit_code, result.stdout) == (0, "")
    assert json.loads(server.requests[0].content) == {"reason": "grown up"}


def test_an_account_is_shown_and_changed(server: FakeSherwood, run: Run) -> None:
    server.answer("GET", "/ops/accounts/alice", httpx.Response(200, json=ACCOUNT))
    server.answer("PUT", "/ops/accounts/alice", httpx.Response(200, json=ACCOUNT))

    shown = run("ops", "account", "alice")
    changed = run("ops", "set-account", "alice", "frozen", "--reason", "a court order", "--json")

    assert shown.stdout == "alice: frozen, opened 2026-03-02 14:30:00 UTC\n"
    assert json.loads(changed.stdout) == ACCOUNT
    assert json.loads(server.requests[1].content) == {"state": "frozen", "reason": "a court order"}


def test_acts_say_who_changed_what_from_what_to_what_and_why(
    server: FakeSherwood, run: Run
) -> None:
    server.answer(
        "GET",
        "/ops/acts",
        httpx.Response(200, json={"items": [ACT], "nextCursor": "7"}),
        httpx.Response(200, json={"items": [ACT], "nextCursor": None}),
    )

    result = run("ops", "acts", "--limit", "3")

    _, first, second = result.stdout.splitlines()
    assert first == second
    assert first.split() == [
        *("2026-03-02", "14:30:00", "olga", "127.0.0.1", "limit", "order-shares", "alice"),
        *("-", "50", "a", "small", "account"),
    ]
    assert [dict(request.url.params) for request in server.requests] == [
        {"limit": "3"},
        {"limit": "2", "cursor": "7"},
    ]


@pytest.mark.parametrize(
    "words",
    [
        ("set-limit", "order-shares", "5"),
        ("set-limit", "order-shares", "-5", "--reason", "why"),
        ("set-limit", "order-shares", "5.5", "--reason", "why"),
        ("drop-limit", "order-shares", "--reason", "why"),
        ("set-account", "alice", "melted", "--reason", "why"),
        ("set-account", "alice", "frozen"),
        ("acts", "--limit", "0"),
    ],
)
def test_wrong_usage_of_an_operator_sends_nothing(
    server: FakeSherwood, run: Run, words: tuple[str, ...]
) -> None:
    assert run("ops", *words).exit_code == 2
    assert server.requests == []


def test_who_is_no_operator_is_told_so(server: FakeSherwood, run: Run) -> None:
    server.answer("GET", "/ops/limits", problem(403, "operator-only"))

    result = run("ops", "limits")

    assert (result.exit_code, result.stdout) == (5, "")
    assert "operator-only" in result.stderr
