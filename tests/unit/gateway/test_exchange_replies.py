"""What the exchange may answer, and what that says about the order."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
import msgspec
import pytest

from brokerage.contracts.gateway import CancelRequest, PlaceRequest, QueryRequest
from brokerage.gateway import exchange as exchange_module
from brokerage.gateway.batching import PlacementBatcher
from brokerage.gateway.exchange import ExchangeClient
from exchange import protocol

Answer = Callable[[httpx.Request], httpx.Response]


def placement(order: str = "o1") -> PlaceRequest:
    return PlaceRequest(order, "account", "META", "buy", 52_210, 10, "day", 2_000)


def report(
    order: str = "o1", status: protocol.OrderStatus = "open", done: int = 0
) -> protocol.OrderReport:
    return protocol.OrderReport(
        f"X-{order}", order, "account", "META", "buy", 52_210, 10, "day", status, done, 0, 1_000
    )


def ok(message: Any) -> Answer:
    return lambda request: httpx.Response(200, content=msgspec.json.encode(message))


def problem(status: int, code: str) -> Answer:
    body = msgspec.json.encode(protocol.Problem(status, code, "why"))
    return lambda request: httpx.Response(status, content=body)


def raises(error: Exception) -> Answer:
    def answer(request: httpx.Request) -> httpx.Response:
        raise error

    return answer


def member(answer: Answer) -> ExchangeClient:
    return ExchangeClient("http://exchange.test", "sherwood", httpx.MockTransport(answer))


NO_ANSWERS: list[tuple[str, Answer]] = [
    ("exchange-error", lambda request: httpx.Response(503, text="away")),
    ("exchange-error", lambda request: httpx.Response(500, content=b'{"outcome":"accepted"}')),
    ("exchange-error", problem(429, "slow-down")),
    ("exchange-error", problem(409, "conflict")),
    ("exchange-error", problem(403, "forbidden")),
    ("exchange-error", lambda request: httpx.Response(302, headers={"location": "/"})),
    ("exchange-unreadable", lambda request: httpx.Response(200, text="<html>")),
    ("exchange-unreadable", lambda request: httpx.Response(200, content=b"{}")),
    ("exchange-unreadable", lambda request: httpx.Response(422, json={"detail": "no"})),
    ("exchange-timeout", raises(httpx.ReadTimeout("late"))),
    ("exchange-unreachable", raises(httpx.ConnectError("refused"))),
    ("exchange-unreachable", raises(httpx.RemoteProtocolError("cut off"))),
]


@pytest.mark.parametrize(("code", "answer"), NO_ANSWERS)
async def test_what_is_not_a_documented_answer_is_unknown_for_every_call(
    code: str, answer: Answer
) -> None:
    client = member(answer)

    replies = [
        *await client.place([placement()]),
        *await client.place([placement("o1"), placement("o2")]),
        await client.cancel(CancelRequest("o1", None)),
        await client.query(QueryRequest(client_order_id="o1")),
    ]

    assert [(reply.outcome, reply.code) for reply in replies] == [("unknown", code)] * 5


async def test_a_reply_that_never_comes_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(exchange_module, "CALL_SECONDS", 0.02)
    client = ExchangeClient("http://exchange.test", "sherwood", httpx.MockTransport(never))

    (reply,) = await client.place([placement()])

    assert (reply.outcome, reply.code) == ("unknown", "exchange-timeout")


async def test_placement_carries_the_member_and_the_stored_terms() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return ok(protocol.PlacementReply("o1", "accepted", report()))(request)

    await member(answer).place([placement()])

    assert seen[0].headers["x-member"] == "sherwood"
    assert seen[0].url.path == "/v1/orders"
    assert json.loads(seen[0].content) == {
        "clientOrderId": "o1",
        "account": "account",
        "symbol": "META",
        "side": "buy",
        "priceCents": 52_210,
        "shares": 10,
        "sendByMs": 2_000,
        "timeInForce": "day",
    }


async def test_accepted_placement_comes_with_what_was_executed_at_once() -> None:
    reply = protocol.PlacementReply("o1", "accepted", report(status="cancelled", done=4))

    (answer,) = await member(ok(reply)).place([placement()])

    assert answer.outcome == "accepted"
    assert answer.order is not None
    assert answer.order.external_order_id == "X-o1"
    assert (answer.order.status, answer.order.cumulative_shares) == ("cancelled", 4)


async def test_refusal_is_final_and_keeps_its_code() -> None:
    reply = protocol.PlacementReply("o1", "refused", code="unknown-symbol", reason="no META")

    (answer,) = await member(ok(reply)).place([placement()])

    assert (answer.outcome, answer.code, answer.reason) == ("refused", "unknown-symbol", "no META")


@pytest.mark.parametrize(
    "reply",
    [
        protocol.PlacementReply("o2", "accepted", report("o2")),
        protocol.PlacementReply("o1", "accepted", report("o2")),
        protocol.PlacementReply("o1", "accepted"),
        protocol.PlacementReply("o2", "refused", code="halted"),
    ],
)
async def test_an_answer_about_another_order_is_unknown(reply: protocol.PlacementReply) -> None:
    (answer,) = await member(ok(reply)).place([placement("o1")])

    assert (answer.outcome, answer.code) == ("unknown", "exchange-unreadable")


async def test_batch_is_answered_order_by_order() -> None:
    replies = protocol.PlacementBatchReply(
        [
            protocol.PlacementReply("o1", "accepted", report("o1")),
            protocol.PlacementReply("o2", "refused", code="halted"),
        ]
    )

    answers = await member(ok(replies)).place([placement("o1"), placement("o2")])

    assert [answer.outcome for answer in answers] == ["accepted", "refused"]


async def test_batch_with_too_few_answers_is_unknown_for_all() -> None:
    replies = protocol.PlacementBatchReply([protocol.PlacementReply("o1", "refused", code="x")])

    answers = await member(ok(replies)).place([placement("o1"), placement("o2")])

    assert [answer.outcome for answer in answers] == ["unknown", "unknown"]


async def test_one_malformed_order_does_not_spoil_its_batch() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        order = json.loads(request.content).get("clientOrderId")
        if order is None or order == "bad":
            return problem(422, "malformed")(request)
        return ok(protocol.PlacementReply(order, "accepted", report(order)))(request)

    batcher = PlacementBatcher(member(answer).place, lambda: 0)
    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(batcher.place(placement(name))) for name in ("o1", "bad", "o2")]
        sender = tasks.create_task(batcher.run())
        answers = [await task for task in asked]
        sender.cancel()

    assert [(reply.outcome, reply.code) for reply in answers] == [
        ("accepted", None),
        ("refused", "malformed"),
        ("accepted", None),
    ]


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (protocol.CancelReply("cancelled", report(status="cancelled", done=3)), "cancelled"),
        (protocol.CancelReply("too-late", report(status="filled", done=10)), "too-late"),
        (protocol.CancelReply("unknown-remembered"), "absent"),
        (protocol.CancelReply("refused", report(), code="busy"), "refused"),
        (protocol.CancelReply("refused", code="unknown-order"), "unknown"),
        (protocol.CancelReply("cancelled"), "unknown"),
        (protocol.CancelReply("too-late"), "unknown"),
        (protocol.CancelReply("cancelled", report("o2")), "unknown"),
    ],
)
async def test_cancel_tells_what_became_of_the_order(
    reply: protocol.CancelReply, outcome: str
) -> None:
    answer = await member(ok(reply)).cancel(CancelRequest("o1", "X-o1"))

    assert answer.outcome == outcome
    if outcome in ("cancelled", "too-late"):
        assert reply.order is not None
        assert answer.order is not None
        assert answer.order.cumulative_shares == reply.order.cumulative_shares


@pytest.mark.parametrize(
    ("external", "body"), [("X-o1", {"orderId": "X-o1"}), (None, {"clientOrderId": "o1"})]
)
async def test_cancel_names_the_order_by_one_id(external: str | None, body: dict[str, str]) -> None:
    seen: list[dict[str, Any]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(json.loads(request.content))
        return ok(protocol.CancelReply("refused"))(request)

    await member(answer).cancel(CancelRequest("o1", external))

    assert [{k: v for k, v in sent.items() if v is not None} for sent in seen] == [body]


@pytest.mark.parametrize(
    ("by_client_id", "outcome"),
    [
        (protocol.CancelReply("unknown-remembered"), "absent"),
        (protocol.CancelReply("cancelled", report(status="cancelled", done=3)), "cancelled"),
    ],
)
async def test_cancel_asks_by_our_id_where_the_exchange_forgot_its_own(
    by_client_id: protocol.CancelReply, outcome: str
) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if json.loads(request.content).get("orderId"):
            return ok(protocol.CancelReply("refused", code="unknown-order"))(request)
        return ok(by_client_id)(request)

    reply = await member(answer).cancel(CancelRequest("o1", "X-o1"))

    assert reply.outcome == outcome


async def test_query_by_either_id_finds_the_order() -> None:
    paths: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        paths.append(request.url.path)
        return ok(report(done=2))(request)

    client = member(answer)

    ours = await client.query(QueryRequest(client_order_id="o1"))
    theirs = await client.query(QueryRequest(external_order_id="X-o1"))

    assert paths == ["/v1/orders/by-client-id/o1", "/v1/orders/X-o1"]
    assert ours == theirs
    assert ours.outcome == "found"


async def test_documented_404_is_absence_and_any_other_404_is_unknown() -> None:
    query = QueryRequest(client_order_id="o1")

    documented = await member(problem(404, "unknown-order")).query(query)
    other = await member(lambda request: httpx.Response(404, text="nginx")).query(query)

    assert documented.outcome == "absent"
    assert other.outcome == "unknown"


async def test_a_report_of_another_order_is_no_answer() -> None:
    answer = await member(ok(report("o2"))).query(QueryRequest(client_order_id="o1"))

    assert answer.outcome == "unknown"
