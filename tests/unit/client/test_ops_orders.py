"""`sherwood ops order` and `sherwood ops risk`: what is not settled, and what it may cost."""

import json
from typing import Any

import httpx
import pytest

from tests.unit.client.fake_sherwood import ORDER_ID, FakeSherwood, Run

STANDING: dict[str, Any] = {
    "orderId": ORDER_ID,
    "userId": "alice",
    "at": "2026-03-02T15:30:05Z",
    "order": None,
    "waitsFor": "unknown-outcome",
    "explanation": "The exchange has not answered yet.",
    "nextAct": "wait",
    "because": "The exchange is asked about its placement again.",
    "notBefore": "2026-03-02T15:30:12Z",
    "run": {
        "state": "running",
        "taskFailures": 0,
        "step": "resolve_submission",
        "attempt": 9,
        "nextAttemptAt": "2026-03-02T15:30:12Z",
        "lastFailure": "unknown: exchange-unreachable",
    },
    "exchange": {"answer": "found", "status": "open", "cumulativeShares": 1_200},
    "parkedReports": 0,
    "deadLetters": 2,
    "switchLevel": 0,
}
EXPOSURE: dict[str, Any] = {
    "place": "orders",
    "cause": "unknown-outcome",
    "count": 1_002,
    "amountInCents": 1_234_500,
    "cashInCents": 0,
    "oldestAt": "2026-03-02T15:30:00Z",
    "isComplete": True,
}


def lines(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


def test_an_order_is_told_with_what_to_do_first(server: FakeSherwood, run: Run) -> None:
    server.answer("GET", f"/ops/orders/{ORDER_ID}", httpx.Response(200, json=STANDING))

    result = run("ops", "order", ORDER_ID)

    assert lines(result.stdout) == [
        "next: wait, until 2026-03-02 15:30:12 UTC",
        "The exchange is asked about its placement again.",
        "",
        "order no row",
        "of alice",
        "waits for unknown-outcome",
        "why The exchange has not answered yet.",
        "run running, resolve_submission attempt 9",
        "last failure unknown: exchange-unreachable",
        "exchange found, open with 1,200 executed",
        "parked reports 0",
        "dead letters 2",
    ]


@pytest.mark.parametrize(
    ("level", "told"),
    [(3, "kill switch level 3"), (None, "kill switch cannot be read: no order passes")],
)
def test_a_kill_switch_that_counts_for_it_is_told_and_what_cannot_be_read_is_not(
    server: FakeSherwood, run: Run, level: int | None, told: str
) -> None:
    standing = {**STANDING, "switchLevel": level, "parkedReports": None, "deadLetters": None}
    server.answer("GET", f"/ops/orders/{ORDER_ID}", httpx.Response(200, json=standing))

    result = run("ops", "order", ORDER_ID)

    assert lines(result.stdout)[-3:] == ["parked reports -", "dead letters -", told]


def test_what_is_at_risk_is_a_table_with_its_sum(server: FakeSherwood, run: Run) -> None:
    parked = {**EXPOSURE, "place": "executions", "cause": "executions-parked", "count": 600}
    unpriced = {**EXPOSURE, "cause": "overfill", "amountInCents": None, "cashInCents": -300}
    items = [EXPOSURE, {**parked, "isComplete": False}, unpriced]
    answer = {"at": "2026-03-02T15:30:05Z", "items": items, "totalInCents": None}
    server.answer("GET", "/ops/risk", httpx.Response(200, json=answer))

    result = run("ops", "risk")

    assert lines(result.stdout) == [
        "WHERE CAUSE COUNT AT RISK CASH OLDEST (UTC)",
        "orders unknown-outcome 1,002 12,345.00 0.00 2026-03-02 15:30:00",
        "executions executions-parked 600 12,345.00 or more 0.00 2026-03-02 15:30:00",
        "orders overfill 1,002 - -3.00 2026-03-02 15:30:00",
        "together -",
    ]


def test_no_risk_is_good_news(server: FakeSherwood, run: Run) -> None:
    nothing = {"at": "2026-03-02T15:30:05Z", "items": [], "totalInCents": 0}
    server.answer("GET", "/ops/risk", httpx.Response(200, json=nothing))

    result = run("ops", "risk")

    assert (result.exit_code, result.stdout) == (0, "")
    assert "nothing is at risk" in result.stderr


@pytest.mark.parametrize(
    ("words", "path", "body"),
    [
        (("order", ORDER_ID), f"/ops/orders/{ORDER_ID}", STANDING),
        (("risk",), "/ops/risk", {"at": STANDING["at"], "items": [EXPOSURE], "totalInCents": 7}),
    ],
)
def test_programs_get_all_of_it(
    server: FakeSherwood, run: Run, words: tuple[str, ...], path: str, body: dict[str, Any]
) -> None:
    server.answer("GET", path, httpx.Response(200, json=body))

    assert json.loads(run("ops", *words, "--json").stdout) == body
