import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.unit.client.fake_sherwood import FakeSherwood, Run, Step, problem

PARTS = {"pool": True, "bus": True}
BEHIND = {
    "at": "2026-03-02T14:30:00Z",
    "ok": True,
    "items": [
        {"check": "packages", "verdict": "ok", "found": "as locked", "mend": ""},
        {"check": "poll", "verdict": "unknown", "found": "not told", "mend": "look there"},
    ],
}


def ready() -> Step:
    return httpx.Response(200, json={"ok": True, "process": "api", "parts": PARTS})


def clock(*, ahead: timedelta = timedelta(0), feed: str = "live") -> Step:
    def answer(request: httpx.Request) -> httpx.Response:
        at = datetime.now(UTC) + ahead
        return httpx.Response(200, json={"at": at.isoformat(), "feed": feed})

    return answer


def examined(
    server: FakeSherwood,
    run: Run,
    *,
    readiness: Step | None = None,
    time: Step | None = None,
    behind: Step | None = None,
    **options: Any,
) -> tuple[int, dict[str, dict[str, str]]]:
    """The exit code, and the findings by what was looked at."""
    server.answer("GET", "/readyz", readiness or ready())
    server.answer("GET", "/clock", time or clock())
    server.answer("GET", "/ops/doctor", behind or httpx.Response(200, json=BEHIND))
    result = run("doctor", "--json", **options)
    document = json.loads(result.stdout)
    assert document["ok"] == (result.exit_code == 0)
    return result.exit_code, {one["check"]: one for one in document["items"]}


def test_where_nothing_is_wrong_the_exit_code_is_0(server: FakeSherwood, run: Run) -> None:
    exit_code, found = examined(server, run)

    assert exit_code == 0
    assert {check: one["verdict"] for check, one in found.items()} == {
        "api-reachable": "ok",
        "api-ready": "ok",
        "clock": "ok",
        "feed": "ok",
        "packages": "ok",
        "poll": "unknown",
    }


def test_server_that_is_away_is_all_that_is_said_and_is_asked_once(
    server: FakeSherwood, run: Run
) -> None:
    exit_code, found = examined(server, run, readiness=httpx.ConnectError("refused"))

    assert (exit_code, list(found)) == (1, ["api-reachable"])
    assert "make up" in found["api-reachable"]["mend"]
    assert len(server.requests) == 1


def test_node_that_takes_no_requests_names_what_it_waits_for(
    server: FakeSherwood, run: Run
) -> None:
    body = {"ok": False, "process": "api", "parts": PARTS | {"bus": False}}

    exit_code, found = examined(server, run, readiness=httpx.Response(503, json=body))

    assert (exit_code, found["api-ready"]["verdict"]) == (1, "wrong")
    assert found["api-ready"]["found"].endswith("not open: bus")
    assert found["packages"]["verdict"] == "ok"


@pytest.mark.parametrize("ahead", [timedelta(minutes=2), timedelta(minutes=-2)])
def test_clock_that_is_off_is_wrong(server: FakeSherwood, run: Run, ahead: timedelta) -> None:
    exit_code, found = examined(server, run, time=clock(ahead=ahead))

    assert (exit_code, found["clock"]["verdict"]) == (1, "wrong")
    assert "NTP" in found["clock"]["mend"]


def test_silent_feed_is_wrong(server: FakeSherwood, run: Run) -> None:
    exit_code, found = examined(server, run, time=clock(feed="stale"))

    assert (exit_code, found["feed"]["verdict"]) == (1, "wrong")
    assert "feed-1" in found["feed"]["mend"]


def test_without_a_good_token_the_rest_is_looked_at_all_the_same(
    server: FakeSherwood, run: Run
) -> None:
    refused = problem(401, "token-missing")

    exit_code, found = examined(server, run, time=refused, behind=refused, token=None)

    assert exit_code == 1
    assert found["token"]["verdict"] == "wrong"
    assert found["behind-the-api"]["verdict"] == "unknown"


def test_who_is_no_operator_is_told_that_there_is_more(server: FakeSherwood, run: Run) -> None:
    exit_code, found = examined(server, run, behind=problem(403, "operator-only"))

    assert (exit_code, found["behind-the-api"]["verdict"]) == (0, "unknown")
    assert "--operator" in found["behind-the-api"]["mend"]


def test_first_token_that_cannot_be_had_is_said_so(server: FakeSherwood, run: Run) -> None:
    server.answer("POST", "/dev/token", problem(503, "unavailable"))

    result = run("doctor", "--user", "olga", token=None)

    assert result.exit_code == 1
    assert result.stdout.splitlines()[1].startswith("wrong    token")


def test_finding_is_a_line_and_what_to_do_the_next(server: FakeSherwood, run: Run) -> None:
    server.answer("GET", "/readyz", ready())
    server.answer("GET", "/clock", clock(feed="stale"))
    server.answer("GET", "/ops/doctor", httpx.Response(200, json=BEHIND))

    result = run("doctor")

    lines = result.stdout.splitlines()
    assert lines[0] == "ok       api-reachable  http://sherwood.test"
    assert lines[3] == "wrong    feed           silent"
    assert lines[4].startswith(" " * 24 + "see that `feed`")
    assert lines[6:] == ["unknown  poll           not told", " " * 24 + "look there"]
    assert result.stderr == "1 of 6 are wrong\n"
