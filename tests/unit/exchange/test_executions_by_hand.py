"""Executions that no exchange should report, as the control panel makes them."""

from exchange.inputs import Cancel, ControlReply, ExecuteOrder
from exchange.protocol import Cancellation, Execution, OrderReport
from exchange.records import LIVE
from tests.unit.exchange.market_of import Exchange


def resting(exchange: Exchange) -> OrderReport:
    """A buy of 10 that never trades by itself."""
    order = exchange.place("c1", price_cents=1).order
    assert order is not None
    return order


def execute(exchange: Exchange, order: OrderReport, shares: int) -> Execution:
    outcome = exchange.apply(ExecuteOrder(order.order_id, 1, shares), "")
    message = outcome.messages[0][1]
    assert isinstance(message, Execution)
    assert isinstance(outcome.reply, ControlReply)
    assert outcome.reply.id == message.execution_id
    return message


def test_live_order_rests_with_what_is_left_and_leaves_the_book_when_full() -> None:
    exchange = Exchange()
    order = resting(exchange)

    part = execute(exchange, order, 4)
    live = exchange.engine.registry.order(order.order_id)
    assert live is not None
    assert (live.status, live.leaves_shares) == (LIVE, 6)
    rest = execute(exchange, order, 6)

    assert (part.cumulative_shares, rest.cumulative_shares) == (4, 10)
    assert live.status == "filled"
    assert len(exchange.engine.floor.book(order.symbol).buys) == 0


def test_full_order_is_executed_beyond_its_shares() -> None:
    exchange = Exchange()
    order = resting(exchange)

    execute(exchange, order, 13)

    full = exchange.engine.registry.order(order.order_id)
    assert full is not None
    assert (full.status, full.leaves_shares, full.cumulative_shares) == ("filled", 0, 13)


def test_cancelled_order_is_executed_late_and_stays_cancelled() -> None:
    exchange = Exchange()
    order = resting(exchange)
    exchange.apply(Cancel(Cancellation("c1")), "m")

    execute(exchange, order, 10)

    late = exchange.engine.registry.order(order.order_id)
    assert late is not None
    assert (late.status, late.cumulative_shares) == ("cancelled", 10)


def test_order_that_nobody_has_is_not_executed() -> None:
    reply = Exchange().apply(ExecuteOrder("XT-9", 1, 1), "").reply

    assert isinstance(reply, ControlReply)
    assert (reply.done, reply.code) == (False, "unknown-order")
