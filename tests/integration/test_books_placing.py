"""Taking orders in and sending them, on a real Postgres: once is once, unknown is not failed."""

import asyncio
from datetime import UTC, datetime, timedelta
from functools import partial

import msgspec
import pytest
from temporalio.exceptions import ApplicationError

from brokerage.contracts.commands import OrderKey, OrderState, SubmitRequest
from brokerage.contracts.gateway import CancelRequest, GatewayReply, PlaceRequest, QueryRequest
from brokerage.contracts.placements import place_request
from brokerage.contracts.subjects import entered_subject
from brokerage.domain.orders import OrderStatus
from brokerage.storage.reads import route_of_external, route_of_order
from tests.support.books import SEND_BY_SECONDS, Books, accepted, external_id, until_done

S = OrderStatus


# -- reserve -----------------------------------------------------------------------------------


async def test_a_reserved_order_is_pending_with_its_cash_held(books: Books) -> None:
    start = await books.claim()

    state = await books.orders.reserve(start)

    order = await books.order(OrderKey(start.order_id, books.user_id))
    assert state == OrderState(
        "pending",
        1,
        settled=False,
        unanswered=True,
        created=True,
        shares=10,
        changed_at_ms=int(order.updated_at.timestamp() * 1000),
    )
    balances = await books.balances()
    assert (balances.cash_cents, balances.held_cents) == (1_000_000, 200_000)
    assert balances.as_of_seq == 1
    route = await route_of_order(books.pool, start.order_id)
    assert route is not None
    assert route.user_id == books.user_id
    assert books.bus.notices == [
        (entered_subject(start.order_id), msgspec.json.encode(place_request(order))),
        (f"orders.{books.user_id}", b"1"),
    ]


async def test_reserving_twice_is_one_row_one_hold_one_event(books: Books) -> None:
    start = await books.claim()

    first = await books.orders.reserve(start)
    second = await books.orders.reserve(start)

    assert (first.created, second.created) == (True, False)
    assert (second.status, second.version) == (first.status, first.version)
    assert (await books.balances()).held_cents == 200_000
    assert [await books.count(table) for table in ("orders", "holds", "order_events")] == [1, 1, 1]


async def test_the_same_order_reserved_ten_times_at_once_is_one_row(books: Books) -> None:
    start = await books.claim()

    async with asyncio.TaskGroup() as tasks:
        attempts = [
            tasks.create_task(until_done(lambda: books.orders.reserve(start))) for _ in range(10)
        ]

    assert sum(attempt.result().created for attempt in attempts) <= 1
    assert [await books.count(table) for table in ("orders", "holds", "order_events")] == [1, 1, 1]


async def test_an_order_beyond_the_means_is_kept_as_rejected_with_its_reply(books: Books) -> None:
    start = await books.claim(shares=51)

    state = await books.orders.reserve(start)
    again = await books.orders.reserve(start)

    assert (state.status, state.settled) == ("rejected", True)
    assert state.reply is not None
    assert state.reply.status == 422
    assert '"required":1020000,"available":1000000' in state.reply.body
    assert again.reply == state.reply
    assert (await books.balances()).held_cents == 0
    assert await books.count("holds") == 0


async def test_an_order_out_of_band_is_kept_as_rejected(books: Books) -> None:
    state = await books.orders.reserve(await books.claim(shares=1, limit_price_cents=24_001))

    assert state.reply is not None
    assert '"code":"price-out-of-band"' in state.reply.body


async def test_an_order_that_was_not_sent_in_time_is_rejected_and_holds_nothing(
    books: Books,
) -> None:
    late_ms = int((datetime.now(UTC) - timedelta(seconds=SEND_BY_SECONDS + 1)).timestamp() * 1000)
    start = await books.claim(claimed_at_ms=late_ms)

    state = await books.orders.reserve(start)

    assert state.status == "rejected"
    assert state.reply is not None
    assert '"code":"not-sent-in-time"' in state.reply.body
    assert (await books.balances()).held_cents == 0


async def test_twenty_orders_at_once_never_overspend(books: Books) -> None:
    starts = [await books.claim() for _ in range(20)]  # cash for five of them

    async with asyncio.TaskGroup() as tasks:
        for start in starts:
            tasks.create_task(until_done(partial(books.orders.reserve, start)))

    states = [
        (await books.order(OrderKey(start.order_id, books.user_id))).status for start in starts
    ]
    assert states.count(S.PENDING) == 5
    assert states.count(S.REJECTED) == 15
    balances = await books.balances()
    assert (balances.cash_cents, balances.held_cents) == (1_000_000, 1_000_000)
    assert balances.as_of_seq == 20


async def test_twenty_sells_at_once_never_sell_a_share_twice(books: Books) -> None:
    starts = [await books.claim(side="sell") for _ in range(20)]  # shares for five of them

    async with asyncio.TaskGroup() as tasks:
        for start in starts:
            tasks.create_task(until_done(partial(books.orders.reserve, start)))

    [position] = (await books.balances()).positions
    assert (position.shares, position.held_shares) == (50, 50)


# -- submit ------------------------------------------------------------------------------------


async def test_a_submitted_order_has_the_external_id_and_its_reply(books: Books) -> None:
    key, external = await books.reserved(), external_id()
    books.gateway.replies.append(accepted(key.order_id, external))

    state = await books.exchange.submit(SubmitRequest(key.order_id, key.user_id, repeated=False))

    assert (state.status, state.external_order_id, state.version) == ("submitted", external, 2)
    assert state.reply is not None
    assert state.reply.status == 201
    route = await route_of_external(books.pool, external)
    assert route is not None
    assert route.order_id == key.order_id
    assert f"routes.{external}" in books.bus.subjects()


async def test_submitting_again_asks_nobody_and_answers_the_same(books: Books) -> None:
    key, external = await books.reserved(), external_id()
    books.gateway.replies.append(accepted(key.order_id, external))
    request = SubmitRequest(key.order_id, key.user_id, repeated=False)

    first = await books.exchange.submit(request)
    second = await books.exchange.submit(request)

    assert second == first
    assert len(books.gateway.asked) == 1
    assert await books.count("order_events") == 2


async def test_a_refused_order_frees_its_hold_and_keeps_the_reply(books: Books) -> None:
    key = await books.reserved()
    books.gateway.replies.append(GatewayReply("refused", code="symbol-asleep"))

    state = await books.exchange.submit(SubmitRequest(key.order_id, key.user_id, repeated=False))

    assert (state.status, state.settled) == ("rejected", True)
    assert state.reply is not None
    assert '"code":"refused-by-exchange"' in state.reply.body
    assert (await books.balances()).held_cents == 0


@pytest.mark.parametrize(
    ("reply", "repeated"),
    [
        (GatewayReply("refused", code="symbol-asleep"), True),
        (GatewayReply("declined", code="past-send-by"), False),
        (GatewayReply("unknown", code="exchange-timeout"), False),
    ],
    ids=["refusal of a repeat", "declined by the gateway", "unknown"],
)
async def test_what_proves_nothing_leaves_the_order_pending(
    books: Books, reply: GatewayReply, repeated: bool
) -> None:
    key = await books.reserved()
    books.gateway.replies.append(reply)

    with pytest.raises(ApplicationError) as caught:
        await books.exchange.submit(SubmitRequest(key.order_id, key.user_id, repeated))

    assert caught.value.type == "OutcomeUnknown"
    assert (await books.order(key)).status is S.PENDING
    assert (await books.balances()).held_cents == 200_000


# -- resolve -----------------------------------------------------------------------------------


async def test_an_unknown_placement_is_sent_again_with_the_same_terms(books: Books) -> None:
    key, external = await books.reserved(), external_id()
    books.gateway.replies += [GatewayReply("unknown"), accepted(key.order_id, external)]
    with pytest.raises(ApplicationError):
        await books.exchange.submit(SubmitRequest(key.order_id, key.user_id, repeated=False))

    state = await books.ask(books.exchange.resolve_submission, key)

    first, second = books.gateway.asked
    assert isinstance(first, PlaceRequest)
    assert first == second
    assert state.status == "submitted"


async def test_after_send_by_the_exchange_is_asked_and_nothing_is_sent(books: Books) -> None:
    key, external = await books.reserved(), external_id()
    await books.past_send_by(key)
    books.gateway.replies.append(accepted(key.order_id, external, outcome="found"))

    state = await books.ask(books.exchange.resolve_submission, key)

    assert state.status == "submitted"
    assert books.gateway.asked == [QueryRequest(key.order_id)]


async def test_an_order_that_is_absent_for_good_failed_and_frees_its_hold(books: Books) -> None:
    key = await books.reserved()
    await books.past_send_by(key)
    books.gateway.replies += [GatewayReply("absent"), GatewayReply("absent")]

    state = await books.ask(books.exchange.resolve_submission, key)

    assert books.gateway.asked == [QueryRequest(key.order_id), CancelRequest(key.order_id, None)]
    assert (state.status, state.settled) == ("failed", True)
    assert state.reply is not None
    assert '"code":"not-placed"' in state.reply.body
    assert (await books.balances()).held_cents == 0


async def test_absence_before_send_by_proves_nothing(books: Books) -> None:
    key = await books.reserved()
    books.gateway.replies += [GatewayReply("unknown"), GatewayReply("absent")]

    with pytest.raises(ApplicationError) as caught:
        await books.ask(books.exchange.resolve_submission, key)

    assert caught.value.next_retry_delay is not None
    assert (await books.order(key)).status is S.PENDING


async def test_a_burial_that_finds_the_order_alive_ends_it(books: Books) -> None:
    key, external = await books.reserved(), external_id()
    await books.past_send_by(key)
    books.gateway.replies += [
        GatewayReply("absent"),
        accepted(key.order_id, external, "cancelled", outcome="cancelled"),
    ]

    state = await books.ask(books.exchange.resolve_submission, key)

    assert (state.status, state.settled, state.external_order_id) == ("cancelled", True, external)
    assert (await books.balances()).held_cents == 0
