import json

import httpx

from tests.unit.client.fake_sherwood import ORDER_ID, FakeSherwood, Run, problem

PATH = f"/ops/orders/{ORDER_ID}/timeline"
PLACED = {
    "link": 1,
    "hash": "01ab",
    "type": "event",
    "kind": "placed",
    "at": "2026-03-02T15:30:00.125000Z",
    "actor": "alice",
    "address": "192.0.2.1",
    "version": 1,
    "status": "pending",
    "filledShares": 0,
    "seq": 1,
    "detail": {
        "claim": {"key": "k", "claimedAt": "2026-03-02T15:30:00Z", "lastPriceInCents": 1},
        "run": {"runId": "r1"},
    },
    "report": None,
    "entries": [],
}
FILL = PLACED | {
    "link": 3,
    "kind": "fill",
    "at": "2026-03-02T15:30:02Z",
    "actor": "exchange",
    "address": None,
    "status": "filled",
    "filledShares": 4,
    "detail": {"run": {"runId": "r1"}},
    "report": {
        "id": "E1-104",
        "kind": "fill",
        "feedSeq": 17,
        "shares": 4,
        "priceInCents": 19_990,
        "bookedShares": 4,
        "bookedNotionalInCents": 79_960,
        "amends": None,
        "reportedAt": "2026-03-02T15:30:01Z",
        "settledAt": "2026-03-02T15:30:02Z",
    },
    "entries": [
        {"leg": 1, "account": "user", "asset": "USD", "amount": -79_960, "cause": None},
        {"leg": 2, "account": "clearing", "asset": "USD", "amount": 79_960, "cause": None},
    ],
}
ATTEMPT = PLACED | {
    "link": 2,
    "type": "note",
    "kind": "attempt",
    "at": "2026-03-02T15:30:01Z",
    "actor": "exchange",
    "address": None,
    "status": None,
    "filledShares": None,
    "seq": None,
    "detail": {
        "run": {"runId": "r1"},
        "exchange": [
            {
                "asked": "place",
                "request": {},
                "askedAt": "2026-03-02T15:30:00.2Z",
                "answeredAt": "2026-03-02T15:30:01Z",
                "answer": {"outcome": "unknown", "code": "timeout"},
            }
        ],
    },
}
ACT = {
    "id": 1,
    "at": "2026-03-02T15:30:01.500000Z",
    "operator": "olga",
    "address": "192.0.2.7",
    "act": "replay-dead-letter",
    "subject": "X1",
    "before": "{}",
    "after": None,
    "reason": "to see",
}
TIMELINE = {
    "orderId": ORDER_ID,
    "userId": "alice",
    "externalOrderId": "X1",
    "workflowId": f"order-{ORDER_ID}",
    "status": "filled",
    "version": 2,
    "links": 3,
    "items": [PLACED, ATTEMPT, FILL],
    "nextCursor": None,
    "acts": [ACT],
    "tampered": [],
}
CHANGED = {"table": "ledger_entries", "row": "E1-104 leg 2", "problem": "changed"}


def test_a_timeline_tells_who_did_what_in_its_order(server: FakeSherwood, run: Run) -> None:
    server.answer("GET", PATH, httpx.Response(200, json=TIMELINE))

    result = run("ops", "timeline", ORDER_ID, "--verify")

    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert result.exit_code == 0
    assert lines[0] == (
        f"{ORDER_ID} of alice: filled, version 2, workflow order-{ORDER_ID}, at the exchange X1"
    )
    assert lines[2:] == [
        "2026-03-02 15:30:00 placed alice pending 0 key k, claimed 2026-03-02T15:30:00Z "
        "192.0.2.1 r1",
        "2026-03-02 15:30:01 attempt exchange - - place 2026-03-02T15:30:00.2Z: unknown timeout "
        "- r1",
        "2026-03-02 15:30:01 replay-dead-letter olga - - to see 192.0.2.7 -",
        "2026-03-02 15:30:02 fill exchange filled 4 E1-104: 4 at 199.90, 4 booked, feed 17; "
        "user USD -79960, clearing USD +79960 - r1",
    ]
    assert "3 links" in result.stderr


def test_a_tampered_row_is_named_and_fails_what_verifies(server: FakeSherwood, run: Run) -> None:
    tampered = httpx.Response(200, json=TIMELINE | {"tampered": [CHANGED]})
    server.answer("GET", PATH, tampered, tampered, tampered)

    shown = run("ops", "timeline", ORDER_ID)
    verified = run("ops", "timeline", ORDER_ID, "--verify")
    as_json = run("ops", "timeline", ORDER_ID, "--verify", "--json")

    assert (shown.exit_code, verified.exit_code, as_json.exit_code) == (0, 1, 1)
    assert "E1-104 leg 2" in shown.stdout
    assert json.loads(as_json.stdout)["tampered"] == [CHANGED]


def test_all_orders_are_verified_page_by_page(server: FakeSherwood, run: Run) -> None:
    pages = [
        {"orders": 200, "tampered": [], "nextCursor": "alice 1"},
        {"orders": 3, "tampered": [CHANGED], "nextCursor": None},
    ]
    server.answer(
        "GET", "/ops/trails/verification", *(httpx.Response(200, json=page) for page in pages)
    )

    result = run("ops", "verify")

    assert result.exit_code == 1
    assert "E1-104 leg 2" in result.stdout
    assert "203 orders verified, 1 rows" in result.stderr
    assert server.requests[1].url.params["cursor"] == "alice 1"


def test_an_order_that_is_none_is_not_found(server: FakeSherwood, run: Run) -> None:
    server.answer("GET", PATH, problem(404, "order-not-found"))

    assert run("ops", "timeline", ORDER_ID).exit_code == 4
