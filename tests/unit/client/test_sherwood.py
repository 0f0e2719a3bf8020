import json
from collections.abc import AsyncIterator
from uuid import UUID

import httpx
import pytest

from client.auth import BearerToken
from client.errors import (
    NotAuthorised,
    NotFound,
    OutcomeUnknown,
    Problem,
    RateLimited,
    Refused,
    ServerFailed,
    Unavailable,
    UnexpectedAnswer,
    Unreachable,
)
from client.retry import Retry
from client.sherwood import Sherwood
from tests.unit.client.fake_sherwood import (
    KEY,
    ORDER,
    ORDER_ID,
    PENDING,
    REJECTED,
    TICK,
    FakeSherwood,
    Naps,
    Step,
    problem,
)


@pytest.fixture
def retries() -> list[Retry]:
    return []


@pytest.fixture
async def sherwood(
    server: FakeSherwood, naps: Naps, retries: list[Retry]
) -> AsyncIterator[Sherwood]:
    async with Sherwood(
        "http://sherwood.test/",
        auth=BearerToken("t0ken"),
        on_retry=retries.append,
        sleep=naps,
        http_transport=server,
    ) as client:
        yield client


async def test_placement_sends_terms_token_and_key(
    server: FakeSherwood, sherwood: Sherwood
) -> None:
    server.answer("POST", "/order", httpx.Response(201, json=ORDER))

    placement = await sherwood.place(
        "buy", "META", 10, price_cents=52_210, time_in_force="gtc", key=UUID(KEY)
    )

    request = server.requests[0]
    assert json.loads(request.content) == {
        "position": "buy",
        "symbol": "META",
        "numShares": 10,
        "priceInCents": 52_210,
        "timeInForce": "gtc",
    }
    assert request.headers["Authorization"] == "Bearer t0ken"
    assert request.headers["Idempotency-Key"] == KEY
    assert (placement.order.status, placement.order.filled_notional_cents) == ("filled", 522_095)
    assert not placement.replayed


async def test_market_order_names_no_price_and_no_time_in_force(
    server: FakeSherwood, sherwood: Sherwood
) -> None:
    server.answer("POST", "/order", httpx.Response(201, json=ORDER))

    await sherwood.place("sell", "META", 1)

    assert json.loads(server.requests[0].content) == {
        "position": "sell",
        "symbol": "META",
        "numShares": 1,
    }


async def test_lost_answers_are_asked_for_again_with_the_same_key(
    server: FakeSherwood, sherwood: Sherwood, retries: list[Retry]
) -> None:
    server.answer(
        "POST",
        "/order",
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("slow"),
        httpx.RemoteProtocolError("reset"),
        problem(503, "gateway-down", retryable=True, headers={"Retry-After": "2"}),
        httpx.Response(201, json=ORDER, headers={"Idempotent-Replayed": "true"}),
    )

    placement = await sherwood.place("buy", "META", 10)

    keys = server.sent("Idempotency-Key")
    assert len(keys) == 5
    assert len(set(keys)) == 1
    assert len({request.content for request in server.requests}) == 1
    assert placement.replayed
    assert [retry.attempt for retry in retries] == [1, 2, 3, 4]


async def test_two_placements_have_two_keys(server: FakeSherwood, sherwood: Sherwood) -> None:
    server.answer("POST", "/order", *[httpx.Response(201, json=ORDER) for _ in range(2)])

    await sherwood.place("buy", "META", 10)
    await sherwood.place("buy", "META", 10)

    assert len(set(server.sent("Idempotency-Key"))) == 2


async def test_server_decides_the_least_wait_and_five_attempts_are_the_most(
    server: FakeSherwood, sherwood: Sherwood, naps: Naps
) -> None:
    down = [problem(503, "gateway-down", headers={"Retry-After": "2"}) for _ in range(5)]
    server.answer("POST", "/order", *down)

    with pytest.raises(Unavailable) as raised:
        await sherwood.place("buy", "META", 10)

    assert len(server.requests) == 5
    assert naps.seconds[0] == 2.0
    assert len(naps.seconds) == 4
    assert raised.value.retry_after_seconds == 2.0


async def test_wait_beyond_the_deadline_is_not_begun(
    server: FakeSherwood, sherwood: Sherwood, naps: Naps
) -> None:
    server.answer("POST", "/order", problem(503, "market-closed", headers={"Retry-After": "3600"}))

    with pytest.raises(Unavailable, match="market-closed"):
        await sherwood.place("buy", "META", 10)

    assert naps.seconds == []


async def test_what_the_server_calls_final_is_not_repeated(
    server: FakeSherwood, sherwood: Sherwood
) -> None:
    server.answer("POST", "/order", problem(503, "symbol-delisted", retryable=False))

    with pytest.raises(Unavailable):
        await sherwood.place("buy", "META", 10)

    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "lost",
    [httpx.ReadTimeout("slow"), httpx.ReadError("reset"), httpx.Response(504), httpx.Response(500)],
)
async def test_placement_that_may_have_arrived_is_unknown_and_names_its_key(
    server: FakeSherwood, sherwood: Sherwood, lost: Step
) -> None:
    server.answer("POST", "/order", lost, *[httpx.ConnectError("refused") for _ in range(4)])

    with pytest.raises(OutcomeUnknown) as raised:
        await sherwood.place("buy", "META", 10, key=UUID(KEY))

    assert raised.value.key == UUID(KEY)


async def test_placement_that_never_left_is_unreachable_and_not_unknown(
    server: FakeSherwood, sherwood: Sherwood
) -> None:
    server.answer("POST", "/order", *[httpx.ConnectError("refused") for _ in range(5)])

    with pytest.raises(Unreachable):
        await sherwood.place("buy", "META", 10)


async def test_refusal_after_a_lost_answer_is_definite_because_it_is_kept_by_key(
    server: FakeSherwood, sherwood: Sherwood
) -> None:
    server.answer(
        "POST",
        "/order",
        httpx.ReadTimeout("slow"),
        problem(422, "insufficient-buying-power", order=REJECTED),
    )

    with pytest.raises(Refused):
        await sherwood.place("buy", "META", 10)


async def test_too_many_requests_after_a_lost_answer_leaves_the_placement_unknown(
    server: FakeSherwood, sherwood: Sherwood
) -> None:
    server.answer("POST", "/order", httpx.ReadTimeout("slow"), problem(429, "rate-limited"))

    with pytest.raises(OutcomeUnknown):
        await sherwood.place("buy", "META", 10)


async def test_unreadable_success_leaves_the_placement_unknown(
    server: FakeSherwood, sherwood: Sherwood
) -> None:
    server.answer("POST", "/order", httpx.Response(200, text="<html>welcome</html>"))

    with pytest.raises(OutcomeUnknown):
        await sherwood.place("buy", "META", 10)


async def test_refusal_carries_code_amounts_and_the_stored_order(
    server: FakeSherwood, sherwood: Sherwood
) -> None:
    server.answer(
        "POST",
        "/order",
        problem(
            422,
            "insufficient-buying-power",
            retryable=False,
            required=522_100,
            available=10_000,
            order=REJECTED,
        ),
    )

    with pytest.raises(Refused) as raised:
        await sherwood.place("buy", "META", 10)

    refusal = raised.value
    assert (refusal.status, refusal.code) == (422, "insufficient-buying-power")
    assert refusal.detail == "about insufficient-buying-power"
    assert (refusal.extra["required"], refusal.extra["available"]) == (522_100, 10_000)
    assert refusal.order is not None
    assert refusal.order.status == "rejected"
    assert not refusal.retryable


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (problem(400, "malformed-key"), Refused),
        (problem(401, "token-expired"), NotAuthorised),
        (problem(403, "scope"), NotAuthorised),
        (problem(404, "no-such-order"), NotFound),
        (problem(409, "too-late", order=ORDER), Refused),
        (problem(409, "cancel-refused", retryable=True, order=ORDER), Refused),
        (problem(422, "unknown-symbol"), Refused),
        (problem(429, "rate-limited"), RateLimited),
        (httpx.Response(404, json={"detail": "Not Found"}), NotFound),
        (httpx.Response(418, text="short and stout"), Refused),
        (httpx.Response(302, headers={"Location": "/elsewhere"}), Refused),
    ],
)
async def test_each_status_has_its_error_and_is_not_repeated(
    server: FakeSherwood, sherwood: Sherwood, answer: Step, kind: type[Problem]
) -> None:
    server.answer("DELETE", f"/order/{ORDER_ID}", answer)

    with pytest.raises(Problem) as raised:
        await sherwood.cancel(UUID(ORDER_ID))

    assert type(raised.value) is kind
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (lambda _: httpx.Response(500), ServerFailed),
        (lambda _: httpx.Response(502, text="<html>"), Unavailable),
        (
            lambda _: httpx.Response(409, json={"code": "placing", "retryable": True}),
            Unavailable,
        ),
    ],
)
async def test_what_passes_by_itself_is_repeated_first(
    server: FakeSherwood, sherwood: Sherwood, answer: Step, kind: type[Problem]
) -> None:
    server.answer("GET", "/portfolio", *[answer] * 5)

    with pytest.raises(Problem) as raised:
        await sherwood.portfolio()

    assert type(raised.value) is kind
    assert len(server.requests) == 5


async def test_waiting_asks_until_the_exchange_has_answered(
    server: FakeSherwood, sherwood: Sherwood
) -> None:
    server.answer("POST", "/order", httpx.Response(202, json=PENDING))
    server.answer(
        "GET",
        f"/order/{ORDER_ID}",
        httpx.Response(200, json=PENDING),
        *[httpx.ConnectError("refused") for _ in range(5)],
        httpx.Response(200, json=ORDER),
    )

    placement = await sherwood.place("buy", "META", 10)
    order = await sherwood.wait_for_outcome(placement.order, timeout_seconds=60)

    assert placement.order.placement_is_unknown
    assert order.status == "filled"


async def test_waiting_ends_with_the_order_as_last_seen(
    server: FakeSherwood, sherwood: Sherwood
) -> None:
    server.answer("POST", "/order", httpx.Response(202, json=PENDING))

    placement = await sherwood.place("buy", "META", 10)
    order = await sherwood.wait_for_outcome(placement.order, timeout_seconds=0)

    assert order.placement_is_unknown


async def test_cancel_is_waited_for_until_it_is_answered_either_way(
    server: FakeSherwood, sherwood: Sherwood
) -> None:
    asked = ORDER | {"status": "pending_cancel"}
    server.answer(
        "DELETE", f"/order/{ORDER_ID}", httpx.Response(202, json={"ok": False, "order": asked})
    )
    server.answer(
        "GET",
        f"/order/{ORDER_ID}",
        httpx.Response(200, json=asked),
        httpx.Response(200, json=ORDER | {"status": "submitted"}),
    )

    answer = await sherwood.cancel(UUID(ORDER_ID))
    order = await sherwood.wait_for_cancel(answer.order, timeout_seconds=60)

    assert not answer.ok
    assert order.status == "submitted"


async def test_listing_sends_only_what_was_asked(server: FakeSherwood, sherwood: Sherwood) -> None:
    page = {"items": [ORDER], "nextCursor": "n", "asOfSeq": 12}
    server.answer("GET", "/orders", httpx.Response(200, json=page))

    found = await sherwood.orders(status="open", limit=1, idempotency_key=UUID(KEY))

    assert dict(server.requests[0].url.params) == {
        "status": "open",
        "limit": "1",
        "idempotencyKey": KEY,
    }
    assert (len(found.items), found.next_cursor) == (1, "n")


async def test_symbol_that_never_traded_has_no_price(
    server: FakeSherwood, sherwood: Sherwood
) -> None:
    silent = dict.fromkeys(TICK) | {"symbol": "BRK/B", "name": "Berkshire"}
    server.answer("GET", "/symbol/BRK/B", httpx.Response(200, json=silent))

    symbol = await sherwood.symbol("BRK/B")

    assert server.requests[0].url.raw_path == b"/symbol/BRK%2FB"
    assert (symbol.name, symbol.price_cents, symbol.change_cents) == ("Berkshire", None, None)


async def test_answer_of_another_shape_is_unexpected(
    server: FakeSherwood, sherwood: Sherwood
) -> None:
    server.answer("GET", "/portfolio", httpx.Response(200, json={"cashInCents": 1.5}))

    with pytest.raises(UnexpectedAnswer, match="GET /portfolio"):
        await sherwood.portfolio()
