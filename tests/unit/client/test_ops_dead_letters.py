import json

import httpx

from tests.unit.client.fake_sherwood import ORDER_ID, FakeSherwood, Run, problem

PATH = "/ops/dead-letters"
LETTER = {
    "id": 7,
    "externalOrderId": "X1",
    "subject": "executions.fill.X1",
    "why": "no-order-of-ours",
    "buriedAt": "2026-03-02T15:30:00Z",
    "payload": {"report_id": "E1-104"},
}
PAGE = {"items": [LETTER], "nextCursor": None, "waiting": 1}


def test_letters_are_listed_with_why(server: FakeSherwood, run: Run) -> None:
    server.answer("GET", PATH, httpx.Response(200, json=PAGE))

    result = run("ops", "dead-letters")

    assert " ".join(result.stdout.splitlines()[1].split()) == (
        "7 2026-03-02 15:30:00 X1 no-order-of-ours E1-104 {'report_id': 'E1-104'}"
    )


def test_a_letter_is_explained_with_its_order(server: FakeSherwood, run: Run) -> None:
    explained = {
        "letter": LETTER,
        "verdict": "ours",
        "explanation": "Replay it.",
        "orderId": ORDER_ID,
        "userId": "alice",
    }
    server.answer("GET", f"{PATH}/7", httpx.Response(200, json=explained))

    result = run("ops", "dead-letters", "explain", "7")

    assert result.stdout.splitlines()[2:] == ["ours: Replay it.", f"order {ORDER_ID} of alice"]


def test_one_letter_or_all_are_replayed_with_the_reason(server: FakeSherwood, run: Run) -> None:
    once = httpx.Response(200, json={"replayed": 1, "more": False})
    server.answer("POST", f"{PATH}/7/replay", once)
    server.answer("GET", PATH, httpx.Response(200, json=PAGE | {"waiting": 201}))
    many = [{"replayed": 200, "more": True}, {"replayed": 1, "more": True}]
    server.answer("POST", f"{PATH}/replay", *(httpx.Response(200, json=one) for one in many))

    one = run("ops", "dead-letters", "replay", "7", "--reason", "why")
    every = run("ops", "dead-letters", "replay", "--all", "--reason", "why", "--json")

    assert "1 sent again" in one.stderr
    # What came back meanwhile is left for the next time.
    assert json.loads(every.stdout) == {"replayed": 201}
    assert json.loads(server.requests[0].content) == {"reason": "why"}


def test_a_replay_of_nothing_named_is_wrong_usage(run: Run) -> None:
    assert run("ops", "dead-letters", "replay", "--reason", "why").exit_code == 2
    assert run("ops", "dead-letters", "replay", "7", "--all", "--reason", "why").exit_code == 2


def test_what_is_ours_is_not_discarded(server: FakeSherwood, run: Run) -> None:
    server.answer("DELETE", f"{PATH}/7", httpx.Response(204), problem(409, "dead-letter-is-ours"))

    done = run("ops", "dead-letters", "discard", "7", "--reason", "not ours")
    refused = run("ops", "dead-letters", "discard", "7", "--reason", "not ours")

    assert (done.exit_code, refused.exit_code) == (0, 3)


def test_no_letters_is_good_news(server: FakeSherwood, run: Run) -> None:
    server.answer("GET", PATH, httpx.Response(200, json={"items": [], "waiting": 0}))

    assert "no dead letters" in run("ops", "dead-letters").stderr
