import json

import httpx

from tests.unit.client.fake_sherwood import FakeSherwood, Run, problem

EVERYBODYS = {"name": "order-shares", "subject": None, "value": 100_000}
ALICES = {"name": "order-shares", "subject": "alice", "value": 50}


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


def test_who_is_no_operator_is_told_so(server: FakeSherwood, run: Run) -> None:
    server.answer("GET", "/ops/limits", problem(403, "operator-only"))

    result = run("ops", "limits")

    assert (result.exit_code, result.stdout) == (5, "")
    assert "operator-only" in result.stderr
