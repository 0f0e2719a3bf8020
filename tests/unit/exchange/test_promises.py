"""What the exchange promises about one order, one promise a test."""

from exchange.inputs import (
    BustExecution,
    Cancel,
    CancelAll,
    ControlReply,
    CorrectExecution,
    EndDay,
    EndOrder,
    Halt,
    Place,
    Release,
)
from exchange.protocol import (
    Bust,
    Cancellation,
    CancelReply,
    Correction,
    End,
    Execution,
    MassCancellation,
    MassCancelReply,
    OrderReport,
    PlacementReply,
)
from tests.unit.exchange.market_of import NOW_MS, Exchange, placement, tape_of


def cancel(exchange: Exchange, client_order_id: str, member: str = "m") -> CancelReply:
    reply = exchange.apply(Cancel(Cancellation(client_order_id)), member).reply
    assert isinstance(reply, CancelReply)
    return reply


def order_of(reply: PlacementReply | CancelReply) -> OrderReport:
    assert reply.order is not None
    return reply.order


def control_of(reply: object) -> ControlReply:
    assert isinstance(reply, ControlReply)
    return reply


def test_marketable_order_trades_at_the_last_price() -> None:
    exchange = Exchange()

    order = order_of(exchange.place("c1", price_cents=exchange.price("REC") + 50))

    assert (order.status, order.cumulative_shares) == ("filled", 10)
    assert order.cumulative_notional_cents == 10 * exchange.price("REC")


def test_order_larger_than_the_liquidity_is_filled_in_part_and_rests() -> None:
    exchange = Exchange()
    standing = exchange.liquidity("REC")

    order = order_of(exchange.place("c1", shares=standing + 5))
    after = order_of(exchange.place("c2", shares=1))

    assert (order.status, order.cumulative_shares) == ("open", standing)
    assert after.cumulative_shares == 0


def test_resting_remainder_trades_before_later_orders_when_the_next_print_comes() -> None:
    exchange = Exchange()
    standing = exchange.liquidity("REC")
    first = order_of(exchange.place("c1", shares=standing + 5))
    exchange.place("c2", shares=7)

    outcome = exchange.advance(20)

    assert outcome is not None
    executions = [message for _, message in outcome.messages if isinstance(message, Execution)]
    assert executions[0].order_id == first.order_id
    assert [execution.shares for execution in executions] == [5, 7]


def test_print_fills_resting_orders_only_up_to_its_shares() -> None:
    exchange = Exchange(tape_of([(0, "REC", 1000, 100), (5, "REC", 900, 300), (6, "REC", 900, 60)]))
    resting = order_of(exchange.place("c1", price_cents=950, shares=380))

    outcome = exchange.advance(4)

    assert resting.cumulative_shares == 0
    assert outcome is not None
    executions = [message for _, message in outcome.messages if isinstance(message, Execution)]
    assert [(one.shares, one.price_cents) for one in executions] == [(300, 900), (80, 900)]


def test_immediate_or_cancel_ends_at_once_with_what_it_got() -> None:
    exchange = Exchange()
    standing = exchange.liquidity("REC")

    order = order_of(exchange.place("c1", shares=standing + 5, time_in_force="ioc"))

    assert (order.status, order.cumulative_shares) == ("cancelled", standing)


def test_members_orders_meet_at_the_last_price_both_limits_allow() -> None:
    exchange = Exchange()
    last = exchange.price("REC")
    exchange.place("s1", "seller", side="sell", price_cents=last + 20, shares=10)

    outcome = exchange.apply(Place(placement("b1", price_cents=last + 30, shares=10_000)), "buyer")

    sold = [m for member, m in outcome.messages if member == "seller" and isinstance(m, Execution)]
    bought = [m for member, m in outcome.messages if member == "buyer" and isinstance(m, Execution)]
    assert [(one.price_cents, one.shares) for one in sold] == [(last + 20, 10)]
    # The market's liquidity was the better price, and came first.
    assert [one.price_cents for one in bought] == [last, last + 20]


def test_repeated_client_order_id_returns_the_same_order() -> None:
    exchange = Exchange()
    first = exchange.place("c1", shares=10)

    again = exchange.place("c1", shares=10, send_by_ms=NOW_MS - 1)

    assert again == first
    assert exchange.engine.registry.counters.order == 1


def test_repeat_under_other_terms_is_refused_and_changes_nothing() -> None:
    exchange = Exchange()
    first = exchange.place("c1", shares=10)

    other = exchange.place("c1", shares=11)

    assert (other.outcome, other.code, other.order) == ("refused", "terms-differ", first.order)
    assert exchange.place("c1", shares=10) == first


def test_same_client_order_id_of_another_member_is_another_order() -> None:
    exchange = Exchange()
    first = exchange.place("c1", "one")

    second = exchange.place("c1", "two")

    assert order_of(first).order_id != order_of(second).order_id


def test_new_placement_past_its_send_by_is_refused_and_stays_refused() -> None:
    exchange = Exchange()
    late = exchange.place("c1", send_by_ms=NOW_MS - 1)

    again = exchange.place("c1", send_by_ms=NOW_MS + 10**9)

    assert (late.code, order_of(late).status) == ("past-send-by", "rejected")
    assert again == late


def test_each_refusal_has_its_code() -> None:
    exchange = Exchange()
    exchange.apply(Halt("TAP", halted=True))

    refused = {
        "unknown-symbol": exchange.place("c1", symbol="NONE"),
        "invalid-terms": exchange.place("c2", shares=0),
        "halted": exchange.place("c4", symbol="TAP"),
        "market-closed": exchange.apply(Place(placement("c5"), market_closed=True)).reply,
        "refused": exchange.apply(Place(placement("c6"), refuse_reason="no")).reply,
    }

    for code, reply in refused.items():
        assert isinstance(reply, PlacementReply)
        assert (reply.outcome, reply.code, order_of(reply).status) == ("refused", code, "rejected")
    assert exchange.place("c3", price_cents=-1).code == "invalid-terms"


def test_cancel_of_an_unknown_id_is_remembered_and_refuses_its_placement() -> None:
    exchange = Exchange()

    assert cancel(exchange, "c1").outcome == "unknown-remembered"
    assert cancel(exchange, "c1").outcome == "unknown-remembered"

    assert exchange.place("c1").code == "cancelled-before-placed"
    assert exchange.place("c1", "other member").outcome == "accepted"


def test_cancel_takes_an_order_off_and_says_what_was_executed() -> None:
    exchange = Exchange()
    standing = exchange.liquidity("REC")
    exchange.place("c1", shares=standing + 5)

    first, second = cancel(exchange, "c1"), cancel(exchange, "c1")

    assert (first.outcome, order_of(first).cumulative_shares) == ("cancelled", standing)
    assert second == first
    assert exchange.advance(20) is None


def test_cancel_after_the_end_is_too_late() -> None:
    exchange = Exchange()
    exchange.place("c1")

    reply = cancel(exchange, "c1")

    assert (reply.outcome, order_of(reply).status) == ("too-late", "filled")


def test_mass_cancel_takes_the_members_own_orders_of_the_selection() -> None:
    exchange = Exchange()
    for client_order_id, account in (("c1", "a"), ("c2", "b"), ("c3", "a")):
        exchange.place(client_order_id, account=account, price_cents=1)
    exchange.place("c1", "other", account="a", price_cents=1)

    outcome = exchange.apply(CancelAll(MassCancellation(account="a")))

    assert isinstance(outcome.reply, MassCancelReply)
    assert [order.client_order_id for order in outcome.reply.cancelled] == ["c1", "c3"]
    ends = [message for _, message in outcome.messages if isinstance(message, End)]
    assert [end.order_id for end in ends] == [order.order_id for order in outcome.reply.cancelled]
    assert {end.status for end in ends} == {"cancelled"}


def test_day_orders_expire_and_good_till_cancelled_ones_stay() -> None:
    exchange = Exchange()
    day = order_of(exchange.place("c1", price_cents=1))
    exchange.place("c2", price_cents=1, time_in_force="gtc")

    outcome = exchange.apply(EndDay(exchange.now_ms + 10), "")

    ends = [message for _, message in outcome.messages if isinstance(message, End)]
    assert [(end.order_id, end.status) for end in ends] == [(day.order_id, "expired")]
    assert len(exchange.engine.registry.live_orders()) == 1


def test_bust_takes_back_what_was_executed_and_only_once() -> None:
    exchange = Exchange()
    outcome = exchange.apply(Place(placement("c1")))
    execution = outcome.messages[0][1]
    assert isinstance(execution, Execution)

    busted = exchange.apply(BustExecution(execution.execution_id), "")
    again = exchange.apply(BustExecution(execution.execution_id), "")

    message = busted.messages[0][1]
    assert isinstance(message, Bust)
    assert (message.cumulative_shares, message.seq) == (0, execution.seq + 1)
    assert control_of(again.reply).code == "busted"


def test_correction_replaces_price_and_shares_within_the_limit() -> None:
    exchange = Exchange()
    outcome = exchange.apply(Place(placement("c1", price_cents=2000)))
    execution = outcome.messages[0][1]
    assert isinstance(execution, Execution)

    too_much = exchange.apply(CorrectExecution(execution.execution_id, 900, 11), "")
    too_dear = exchange.apply(CorrectExecution(execution.execution_id, 2001, 10), "")
    corrected = exchange.apply(CorrectExecution(execution.execution_id, 900, 8), "")

    assert control_of(too_much.reply).code == "invalid-terms"
    assert control_of(too_dear.reply).code == "invalid-terms"
    message = corrected.messages[0][1]
    assert isinstance(message, Correction)
    assert (message.price_cents, message.shares, message.cumulative_shares) == (900, 8, 8)


def test_unsolicited_end_tells_the_member() -> None:
    exchange = Exchange()
    order = order_of(exchange.place("c1", price_cents=1))

    ended = exchange.apply(EndOrder(order.order_id, expired=False, reason="closed"), "")
    again = exchange.apply(EndOrder(order.order_id, expired=False, reason="closed"), "")

    message = ended.messages[0][1]
    assert isinstance(message, End)
    assert (message.status, message.reason, message.cumulative_shares) == ("cancelled", "closed", 0)
    assert control_of(again.reply).code == "too-late"


def test_held_order_trades_only_after_its_release() -> None:
    exchange = Exchange()
    held = exchange.apply(Place(placement("c1"), hold_until_ms=NOW_MS + 10)).reply
    assert isinstance(held, PlacementReply)
    assert (order_of(held).status, order_of(held).cumulative_shares) == ("open", 0)
    assert exchange.advance(20) is None

    outcome = exchange.apply(Release(1), "")

    assert [type(message) for _, message in outcome.messages] == [Execution]


def test_halted_symbol_neither_prints_nor_trades_and_orders_can_be_cancelled() -> None:
    exchange = Exchange()
    exchange.place("c1", price_cents=10, symbol="REC")
    exchange.apply(Halt("REC", halted=True), "")
    before = exchange.price("REC")
    seq = exchange.engine.floor.symbol("REC")

    exchange.advance(30)

    assert seq is not None
    assert exchange.price("REC") == before
    assert cancel(exchange, "c1").outcome == "cancelled"
    exchange.apply(Halt("REC", halted=False), "")
    assert exchange.place("c2").outcome == "accepted"


def test_partial_fault_leaves_the_rest_resting() -> None:
    exchange = Exchange()

    reply = exchange.apply(Place(placement("c1"), first_fill_shares=3)).reply

    assert isinstance(reply, PlacementReply)
    assert (order_of(reply).status, order_of(reply).cumulative_shares) == ("open", 3)
