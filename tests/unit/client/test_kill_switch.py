"""`sherwood ops kill-switch`, `kill` and `release`."""

import json

import httpx

from tests.unit.client.fake_sherwood import FakeSherwood, Run

ACT = {
    "at": "2026-03-02T15:30:00.125000Z",
    "operator": "olivia",
    "address": "127.0.0.1",
    "reason": "runaway orders",
    "scope": "symbol",
    "subject": "META",
    "before": 0,
    "level": 2,
}
SWITCH = {
    "readable": True,
    "absent": False,
    "level": 0,
    "users": {"alice": 1},
    "symbols": {"META": 2},
    "lastAct": ACT,
}
UNREAD = SWITCH | {"readable": False, "level": None, "users": {}, "symbols": {}, "lastAct": None}


def lines(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


def test_it_is_shown_for_whom_what_is_stopped_and_by_whom(server: FakeSherwood, run: Run) -> None:
    server.answer("GET", "/ops/kill-switch", httpx.Response(200, json=SWITCH))

    result = run("ops", "kill-switch")

    assert lines(result.stdout) == [
        "OF LEVEL WHAT",
        "everybody 0 released",
        "alice 1 no new orders",
        "META 2 all cancelled",
    ]
    assert "olivia, 2026-03-02 15:30:00 UTC: runaway orders" in " ".join(result.stderr.split())


def test_a_server_that_cannot_read_it_says_so(server: FakeSherwood, run: Run) -> None:
    server.answer(
        "GET",
        "/ops/kill-switch",
        httpx.Response(200, json=UNREAD),
        httpx.Response(200, json=UNREAD | {"absent": True}),
    )

    assert "cannot read it" in run("ops", "kill-switch").stdout
    assert "until `sherwood ops release`" in run("ops", "kill-switch").stdout


def test_it_is_set_and_released_for_whom_it_is_said(server: FakeSherwood, run: Run) -> None:
    sent: list[tuple[str, object]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append((request.url.path, json.loads(request.content)))
        return httpx.Response(200, json=SWITCH)

    for path in ("", "/users/alice", "/symbols/META"):
        server.answer("PUT", f"/ops/kill-switch{path}", answer)

    run("ops", "kill", "--level", "3", "--reason", "why")
    run("ops", "kill", "--of-user", "alice", "--reason", "why")
    run("ops", "release", "--symbol", "meta", "--reason", "over")

    assert sent == [
        ("/ops/kill-switch", {"level": 3, "reason": "why"}),
        ("/ops/kill-switch/users/alice", {"level": 1, "reason": "why"}),
        ("/ops/kill-switch/symbols/META", {"level": 0, "reason": "over"}),
    ]


def test_one_switch_at_a_time(server: FakeSherwood, run: Run) -> None:
    result = run("ops", "kill", "--of-user", "alice", "--symbol", "META", "--reason", "why")

    assert result.exit_code == 2
    assert "not both" in result.stderr
