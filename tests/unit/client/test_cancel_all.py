"""`sherwood cancel --all`: as many requests as it takes, and one exit code for all of it."""

import json
from typing import Any
from uuid import UUID

import httpx
import pytest

from client.sherwood import Sherwood
from tests.unit.client.fake_sherwood import ORDER, FakeSherwood, Run, problem

Item = dict[str, Any]
IDS = [f"0b9c3a52-6f0e-5d7c-9f3a-0d6b7a3f1c{number:02}" for number in range(4)]


def item(order_id: str, status: int = 200, order_status: str = "cancelled") -> Item:
    code = {200: None, 202: None, 409: "too-late-to-cancel", 503: "unavailable"}[status]
    order = ORDER | {"id": order_id, "status": order_status, "filledShares": 0}
    return {"id": order_id, "status": status, "ok": status == 200, "code": code, "order": order}


def answer(*items: Item, more: bool = False) -> httpx.Response:
    ok = not more and all(one["ok"] for one in items)
    body = {"ok": ok, "items": list(items), "more": more}
    return httpx.Response(200 if ok else 207, json=body)


async def test_result_of_each_order_is_there_with_its_problem(
    server: FakeSherwood, sherwood: Sherwood
) -> None:
    server.answer("DELETE", "/orders", answer(item(IDS[0]), item(IDS[1], 409, "filled"), more=True))

    cancelled = await sherwood.cancel_all(symbol="META")

    assert (cancelled.ok, cancelled.more) == (False, True)
    assert [(one.id, one.ok, one.code) for one in cancelled.items] == [
        (UUID(IDS[0]), True, None),
        (UUID(IDS[1]), False, "too-late-to-cancel"),
    ]
    assert server.requests[0].url.query == b"symbol=META"


def test_command_goes_on_while_there_are_more_and_tells_how_far_it_is(
    server: FakeSherwood, run: Run
) -> None:
    server.answer(
        "DELETE",
        "/orders",
        answer(item(IDS[0]), item(IDS[1]), more=True),
        answer(item(IDS[2])),
    )

    result = run("cancel", "--all")

    assert result.exit_code == 0
    assert all(order_id in result.stdout for order_id in IDS[:3])
    assert "2 of 2 or more cancelled" in result.stderr
    assert "3 of 3 cancelled" in result.stderr


def test_command_says_that_nothing_was_open(server: FakeSherwood, run: Run) -> None:
    server.answer("DELETE", "/orders", answer())

    result = run("cancel", "--all")

    assert (result.exit_code, result.stdout) == (0, "")
    assert "nothing is open" in result.stderr


def test_command_stops_where_a_repeat_brings_nothing_new(server: FakeSherwood, run: Run) -> None:
    unreached = answer(item(IDS[0], 503, "submitted"), more=True)
    server.answer("DELETE", "/orders", unreached, unreached)

    assert run("cancel", "--all").exit_code == 7
    assert len(server.requests) == 2


def test_command_waits_for_what_the_exchange_has_not_answered(
    server: FakeSherwood, run: Run
) -> None:
    waiting = item(IDS[0], 202, "pending_cancel")
    server.answer("DELETE", "/orders", answer(waiting, item(IDS[1])))
    server.answer("GET", f"/order/{IDS[0]}", httpx.Response(200, json=item(IDS[0])["order"]))

    result = run("cancel", "--all", "--wait", "30", "--json")

    assert result.exit_code == 0
    assert [one["ok"] for one in json.loads(result.stdout)["items"]] == [True, True]


def test_order_that_is_gone_while_it_is_waited_for_is_told(server: FakeSherwood, run: Run) -> None:
    server.answer("DELETE", "/orders", answer(item(IDS[0], 202, "pending_cancel")))
    server.answer("GET", f"/order/{IDS[0]}", problem(404, "order-not-found"))

    assert run("cancel", "--all", "--wait", "30").exit_code == 4


@pytest.mark.parametrize(
    ("items", "exit_code"),
    [
        ([item(IDS[0]), item(IDS[1], 409, "filled")], 3),
        ([item(IDS[0], 409, "filled"), item(IDS[1], 202, "pending_cancel")], 6),
        ([item(IDS[0], 202, "pending_cancel"), item(IDS[1], 503, "submitted")], 7),
    ],
)
def test_exit_code_is_that_of_what_most_needs_doing(
    server: FakeSherwood, run: Run, items: list[Item], exit_code: int
) -> None:
    server.answer("DELETE", "/orders", answer(*items))

    assert run("cancel", "--all").exit_code == exit_code


@pytest.mark.parametrize(
    "words", [(), (IDS[0], "--all"), (IDS[0], "--symbol", "META"), ("--symbol", "META")]
)
def test_cancel_names_one_order_or_says_all(
    server: FakeSherwood, run: Run, words: tuple[str, ...]
) -> None:
    assert run("cancel", *words).exit_code == 2
    assert server.requests == []
