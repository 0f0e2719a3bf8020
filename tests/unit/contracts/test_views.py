"""An order as clients see it, and the first definitive reply it earns."""

import json
from datetime import datetime, timedelta, timezone

import pytest

from brokerage.contracts.problems import PROBLEMS
from brokerage.contracts.views import event_view, first_reply, format_time, order_view
from brokerage.domain import booking, orders
from brokerage.domain.booking import Books
from brokerage.domain.orders import OrderStatus, OrderType
from tests.support.orders import NOON, an_order

S = OrderStatus
BOOKS = Books(
    cash_cents=300_000, held_cents=200_000, position_shares=0, held_shares=0, hold_shares=10
)
POOR = Books(cash_cents=1_000, held_cents=400, position_shares=0, held_shares=0)


def test_an_order_is_shown_with_exactly_the_fields_of_the_interface() -> None:
    order = orders.acknowledge(an_order(), "x-1", NOON + timedelta(microseconds=5))

    assert order_view(order) == {
        "id": "0b9bb1b6-7d6a-5c0b-8a5e-1f4f6f0f0001",
        "externalOrderId": "x-1",
        "position": "buy",
        "symbol": "IBM",
        "type": "limit",
        "timeInForce": "day",
        "priceInCents": 20_000,
        "numShares": 10,
        "status": "submitted",
        "outcome": "accepted",
        "filledShares": 0,
        "filledNotionalInCents": 0,
        "reason": None,
        "version": 2,
        "createdAt": "2026-03-02T12:00:00.000000Z",
        "updatedAt": "2026-03-02T12:00:00.000005Z",
    }


def test_the_collar_of_a_market_order_is_not_shown_as_its_price() -> None:
    order = an_order(order_type=OrderType.MARKET, limit_price_cents=None, price_cents=21_000)

    assert order_view(order)["priceInCents"] is None


def test_a_time_is_told_in_utc() -> None:
    at = datetime(2026, 3, 2, 9, 30, tzinfo=timezone(timedelta(hours=-5)))

    assert format_time(at) == "2026-03-02T14:30:00.000000Z"


@pytest.mark.parametrize("status", [S.PENDING, S.PENDING_CANCEL])
def test_an_order_without_an_answer_earns_no_reply(status: OrderStatus) -> None:
    assert first_reply(an_order(status=status)) is None


@pytest.mark.parametrize(
    "status", [S.SUBMITTED, S.PARTIALLY_FILLED, S.FILLED, S.CANCELLED, S.EXPIRED]
)
def test_an_order_that_the_exchange_took_is_answered_201(status: OrderStatus) -> None:
    order = an_order(status=status)

    reply = first_reply(order)

    assert reply is not None
    assert reply.status == 201
    assert json.loads(reply.body) == order_view(order)


def test_an_order_beyond_the_means_is_answered_with_what_it_lacked() -> None:
    change = booking.place(an_order(), POOR)

    reply = first_reply(change.order, change.refusal)

    assert reply is not None
    body = json.loads(reply.body)
    assert reply.status == body["status"] == 422
    assert body["code"] == "insufficient-buying-power"
    assert (body["required"], body["available"]) == (200_000, 600)
    assert body["retryable"] is False
    assert body["order"] == order_view(change.order)


def test_a_no_of_the_exchange_is_told_as_such_with_its_reason_in_the_order() -> None:
    order = orders.reject(an_order(), "symbol-asleep", NOON)

    reply = first_reply(order)

    assert reply is not None
    body = json.loads(reply.body)
    assert (reply.status, body["code"]) == (422, "refused-by-exchange")
    assert body["order"]["reason"] == "symbol-asleep"


def test_an_order_that_is_proved_absent_is_answered_422() -> None:
    order = orders.fail(an_order(), "not-placed", NOON)

    reply = first_reply(order)

    assert reply is not None
    assert (reply.status, json.loads(reply.body)["code"]) == (422, "not-placed")


@pytest.mark.parametrize("code", sorted(code for code in PROBLEMS if PROBLEMS[code].status != 422))
def test_a_refusal_is_kept_as_422_whatever_the_exchange_calls_its_reason(code: str) -> None:
    # A reply that is stored for good must not say "try again" or "log in" because of a word.
    reply = first_reply(orders.reject(an_order(), code, NOON))

    assert reply is not None
    assert (reply.status, json.loads(reply.body)["code"]) == (422, "refused-by-exchange")


# -- order events -------------------------------------------------------------------------------


def test_event_is_shown_with_the_execution_that_changed_the_order() -> None:
    change = booking.settle(an_order(), BOOKS, "E-1", 4, 19_990, NOON)
    order = json.dumps(order_view(change.order))

    assert event_view(7, change.kind, order, json.dumps(change.detail)) == {
        "seq": 7,
        "kind": "fill",
        "order": order_view(change.order),
        "execution": {"id": "E-1", "shares": 4, "priceInCents": 19_990, "bookedShares": 4},
    }


def test_event_that_no_execution_brought_shows_none() -> None:
    change = booking.refuse_cancel(orders.request_cancel(an_order(), NOON), BOOKS, "not-now", NOON)

    shown = event_view(2, change.kind, json.dumps(order_view(change.order)), '{"code": "not-now"}')

    assert shown["execution"] is None
