"""`sherwood cancel-after`."""

import json

import httpx

from tests.unit.client.fake_sherwood import FakeSherwood, Run

ARMED = {
    "armed": True,
    "seconds": 60,
    "cancelsAt": "2026-03-02T15:31:00.125000Z",
    "armedAt": "2026-03-02T15:30:00.125000Z",
    "armedFrom": "127.0.0.1",
    "wentOffAt": None,
}
WENT_OFF = dict.fromkeys(ARMED) | {"armed": False, "wentOffAt": "2026-03-02T15:31:00.500000Z"}


def test_it_is_armed_and_says_when_it_goes_off(server: FakeSherwood, run: Run) -> None:
    sent: list[object] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(json.loads(request.content))
        return httpx.Response(200, json=ARMED)

    server.answer("POST", "/orders/cancel-after", answer)
    result = run("cancel-after", "60")

    assert sent == [{"seconds": 60}]
    assert "cancelled at 2026-03-02 15:31:00 UTC unless armed anew" in result.stdout


def test_without_a_number_it_is_shown(server: FakeSherwood, run: Run) -> None:
    server.answer("GET", "/orders/cancel-after", httpx.Response(200, json=WENT_OFF))
    result = run("cancel-after")

    assert result.stdout.strip() == "not armed"
    assert "went off at 2026-03-02 15:31:00 UTC" in " ".join(result.stderr.split())
