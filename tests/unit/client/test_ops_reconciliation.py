import json

import httpx

from tests.unit.client.fake_sherwood import ORDER_ID, FakeSherwood, Naps, Run, problem

RUN_ID = "019ac0c2-3b1c-7d2f-9d53-0b54a7c9d6f1"
REPORT = {
    "runId": RUN_ID,
    "day": "2026-03-02",
    "startedAt": "2026-03-02T21:30:00.125000Z",
    "startedBy": "olga",
    "reason": "ticket 4711",
    "finishedAt": "2026-03-02T21:30:09.125000Z",
    "verdict": "needs-a-person",
    "sequence": 48_211,
    "orders": 12_345,
    "reports": 23_456,
    "healed": 1,
    "waiting": 1,
    "items": [
        {
            "kind": "fill-missing",
            "subject": ORDER_ID,
            "key": "E1-104",
            "userId": "alice",
            "ours": None,
            "theirs": "fill: 10 at 52210",
            "state": "healed",
            "note": "1 of 1 reports booked",
            "foundAt": "2026-03-02T21:30:05.125000Z",
        },
        {
            "kind": "total-differs",
            "subject": "USD",
            "key": "",
            "userId": None,
            "ours": "100",
            "theirs": "99",
            "state": "needs-a-person",
            "note": "",
            "foundAt": "2026-03-02T21:30:08.125000Z",
        },
    ],
    "nextCursor": None,
}
UNDER_WAY = REPORT | {
    "verdict": None,
    "finishedAt": None,
    "sequence": None,
    "orders": None,
    "reports": None,
    "healed": None,
    "waiting": None,
    "items": [],
}


def reports(server: FakeSherwood, run: str, *answers: dict[str, object]) -> None:
    server.answer(
        "GET", f"/reconciliation/{run}", *(httpx.Response(200, json=one) for one in answers)
    )


def started(server: FakeSherwood) -> None:
    server.answer("POST", "/ops/reconciliation", httpx.Response(202, json={"runId": RUN_ID}))


def test_the_newest_report_is_shown_with_its_evidence(server: FakeSherwood, run: Run) -> None:
    reports(server, "latest", REPORT)

    result = run("ops", "reconcile")

    assert [" ".join(line.split()) for line in result.stdout.splitlines()] == [
        "2026-03-02: needs-a-person",
        f"run {RUN_ID}, 2026-03-02 21:30:00 UTC, by olga: ticket 4711",
        "12,345 orders and 23,456 reports compared at message 48,211",
        "1 healed, 1 wait for a person",
        "",
        "STATE KIND SUBJECT WHAT OURS THEIRS DONE USER",
        f"healed fill-missing {ORDER_ID} E1-104 - fill: 10 at 52210 1 of 1 reports booked alice",
        "needs-a-person total-differs USD - 100 99 - -",
    ]


def test_the_report_of_a_day_is_shown_page_by_page_as_json(server: FakeSherwood, run: Run) -> None:
    first, second = (REPORT | {"items": [item]} for item in REPORT["items"])  # type: ignore[attr-defined]
    reports(server, "2026-03-02", first | {"nextCursor": "more"}, second)

    result = run("ops", "reconcile", "--day", "2026-03-02", "--json")

    assert json.loads(result.stdout)["items"] == REPORT["items"]
    assert server.requests[1].url.params["cursor"] == "more"


def test_a_run_is_started_with_its_reason_and_waited_for(
    server: FakeSherwood, run: Run, naps: Naps
) -> None:
    started(server)
    server.answer("GET", f"/reconciliation/{RUN_ID}", problem(404, "reconciliation-not-found"))
    reports(server, RUN_ID, UNDER_WAY, REPORT, REPORT)

    result = run("ops", "reconcile", "--reason", "ticket 4711", "--wait", "30")

    assert result.exit_code == 0
    assert result.stdout.startswith("2026-03-02: needs-a-person")
    assert json.loads(server.requests[0].content) == {"reason": "ticket 4711"}
    assert naps.seconds == [0.5, 0.5]


def test_a_run_that_is_not_waited_for_is_named(server: FakeSherwood, run: Run) -> None:
    started(server)
    reports(server, RUN_ID, UNDER_WAY)

    result = run("ops", "reconcile", "--reason", "ticket 4711")

    assert (result.exit_code, result.stdout.strip()) == (0, RUN_ID)


def test_a_run_that_takes_longer_than_the_wait_is_not_known_yet(
    server: FakeSherwood, run: Run
) -> None:
    started(server)
    reports(server, RUN_ID, UNDER_WAY, UNDER_WAY, UNDER_WAY)

    result = run("ops", "reconcile", "--reason", "ticket 4711", "--wait", "1", "--json")

    assert (result.exit_code, json.loads(result.stdout)) == (6, {"runId": RUN_ID})


def test_a_day_cannot_be_compared_anew(run: Run) -> None:
    odd = run("ops", "reconcile", "--day", "2026-03-02", "--reason", "ticket 4711")
    idle = run("ops", "reconcile", "--wait", "1")

    assert (odd.exit_code, idle.exit_code) == (2, 2)
