import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx
import pytest
from rich.console import Console

from client.command.order_board import OrderBoard, OrderTable, wanted
from client.models import Order
from client.reconnecting import Disconnected
from tests.unit.client.fake_sherwood import ORDER, FakeSherwood, Run, event_stream

OLD = UUID(int=1)
NEW = UUID(int=2)
TERMS = "buy 10 META at 522.10"
STREAM = ("GET", "/orders/stream")
LIST = ("GET", "/orders")


def order(order_id: UUID = OLD, *, version: int = 2, **changes: Any) -> dict[str, Any]:
    created_at = f"2026-03-02T14:30:0{order_id.int}Z"
    at = {"createdAt": created_at, "updatedAt": created_at}
    submitted = {"status": "submitted", "filledShares": 0, "filledNotionalInCents": 0}
    return ORDER | {"id": str(order_id), "version": version} | at | submitted | changes


def page(*orders: dict[str, Any]) -> httpx.Response:
    return httpx.Response(200, json={"items": list(orders), "nextCursor": None})


def told(name: str, **data: Any) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()


def changed(seq: int, order: dict[str, Any], kind: str = "filled") -> bytes:
    return told("order", seq=seq, kind=kind, order=order, execution=None)


def begun(after: int = 0) -> bytes:
    return told("hello", after=after, heartbeatSeconds=5)


def test_watched_orders_are_a_line_each_and_then_a_line_a_change(
    server: FakeSherwood, run: Run
) -> None:
    filled = order(NEW, version=3, status="filled", filledShares=10, filledNotionalInCents=522_100)
    server.answer(*LIST, page(order(NEW), order(OLD)))
    server.answer(*STREAM, event_stream(begun(7), changed(8, filled)))

    result = run("orders", "--watch", "--count", "1")

    assert result.exit_code == 0
    assert [line.split(maxsplit=4) for line in result.stdout.splitlines()] == [
        ["-", "14:30:01.000", "-", str(OLD), f"{TERMS}: submitted"],
        ["-", "14:30:02.000", "-", str(NEW), f"{TERMS}: submitted"],
        ["8", "14:30:02.000", "filled", str(NEW), f"{TERMS}: filled, 10 of 10 at 522.10"],
    ]


def test_change_that_the_list_already_had_is_not_told_again(server: FakeSherwood, run: Run) -> None:
    server.answer(*LIST, page(order(version=3)))
    older, newer = changed(8, order(version=2)), changed(9, order(version=4))
    server.answer(*STREAM, event_stream(begun(7), older, newer))

    result = run("orders", "--watch", "--count", "1", "--json")

    lines = [json.loads(line) for line in result.stdout.splitlines()]
    orders = [line for line in lines if line["event"] == "order"]
    assert [(line.get("seq"), line["order"]["version"]) for line in orders] == [(None, 3), (9, 4)]


def test_lost_connection_is_said_and_the_list_is_not_read_again(
    server: FakeSherwood, run: Run
) -> None:
    server.answer(*LIST, page(order()))
    server.answer(*STREAM, event_stream(begun(7)), event_stream(begun(7), changed(8, order(NEW))))

    result = run("orders", "--watch", "--count", "1")

    assert result.exit_code == 0
    assert "disconnected" in result.stderr
    assert len(result.stdout.splitlines()) == 2


def test_log_that_became_shorter_has_the_orders_read_anew(server: FakeSherwood, run: Run) -> None:
    server.answer(*LIST, page(order(version=9)), page(order(version=2)))
    reset = told("reset", lastSeq=3)
    newer = changed(4, order(version=3))
    server.answer(*STREAM, event_stream(begun(7), reset, newer))

    result = run("orders", "--watch", "--count", "1", "--json")

    versions = [json.loads(line).get("order", {}).get("version") for line in _lines(result.stdout)]
    assert versions == [9, None, 2, None, 3]
    assert "reset" in result.stdout


def _lines(text: str) -> list[str]:
    return text.splitlines()


def test_watch_that_sees_no_change_in_time_is_unavailable(server: FakeSherwood, run: Run) -> None:
    server.answer(*STREAM, event_stream(begun()))
    server.answer(*LIST, page())

    assert run("orders", "--watch", "--count", "1", "--seconds", "0").exit_code == 7


def test_count_without_watch_is_wrong_usage(server: FakeSherwood, run: Run) -> None:
    result = run("orders", "--count", "1")

    assert (result.exit_code, server.requests) == (2, [])
    assert "--watch" in result.stderr


@pytest.mark.parametrize(
    ("status", "symbol", "is_listed"),
    [
        (None, None, True),
        ("open", None, True),
        ("closed", None, False),
        ("filled,submitted", "META", True),
        ("open", "AAPL", False),
    ],
)
def test_board_takes_what_the_list_would_show(
    status: str | None, symbol: str | None, is_listed: bool
) -> None:
    assert wanted(status, symbol)(_order()) is is_listed


def test_order_that_was_shown_stays_whatever_becomes_of_it() -> None:
    board = OrderBoard(wanted("open", None), limit=5)
    board.begin([_order()])

    assert board.take(_order(version=3, status="filled"))
    assert not board.take(_order(NEW, version=3, status="filled"))
    assert [one.status for one in board.orders()] == ["filled"]


def test_board_keeps_the_newest_orders_only() -> None:
    board = OrderBoard(wanted(None, None), limit=2)

    board.begin([_order(UUID(int=2)), _order(UUID(int=1))])
    board.take(_order(UUID(int=3)))

    assert [one.id.int for one in board.orders()] == [3, 2]


def test_table_of_a_low_terminal_says_how_many_it_leaves_out() -> None:
    board = OrderBoard(wanted(None, None), limit=9)
    console = Console(force_terminal=True, width=200, height=7, record=True)
    board.begin([_order(UUID(int=number)) for number in (5, 4, 3, 2, 1)])

    table = OrderTable(console, board)
    table.show(Disconnected("reset", 1.5))
    console.print(table._render())

    text = console.export_text()
    assert str(UUID(int=5)) in text
    assert str(UUID(int=1)) not in text
    assert "and 2 more" in text
    assert "reset; trying again in 1.5 s" in text


def _order(order_id: UUID = OLD, *, version: int = 2, status: str = "submitted") -> Order:
    return Order(
        id=order_id,
        position="buy",
        symbol="META",
        num_shares=10,
        status=status,
        version=version,
        created_at=datetime(2026, 3, 2, 14, 30, order_id.int, tzinfo=UTC),
    )
