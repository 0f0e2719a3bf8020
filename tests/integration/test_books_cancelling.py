"""A cancel on a real Postgres: whatever the exchange answers, it ends, and no cent is lost."""

import pytest
from temporalio.exceptions import ApplicationError

from brokerage.contracts.gateway import CancelRequest, GatewayReply
from brokerage.domain.orders import OrderStatus, Outcome
from tests.support.books import Books, accepted, external_id
from tests.support.orders import a_fill, cancel_of, settle

S = OrderStatus


async def test_a_cancel_frees_what_was_not_executed(books: Books) -> None:
    external = external_id()
    key = await books.submitted(external)
    await books.orders.request_cancel(cancel_of(key))
    books.gateway.replies.append(
        accepted(key.order_id, external, "cancelled", 4, outcome="cancelled")
    )

    state = await books.ask(books.exchange.send_cancel, key)
    again = await books.ask(books.exchange.send_cancel, key)
    await books.orders.settle(settle(key, a_fill(f"{external}-1", 4, 20_000, external=external)))

    assert (state.status, state.ended) == ("pending_cancel", True)
    assert again.version == state.version
    assert len(books.gateway.asked) == 2  # the placement and one cancel
    assert (await books.order(key)).status is S.CANCELLED


async def test_a_cancel_that_came_too_late_waits_for_the_fills(books: Books) -> None:
    external = external_id()
    key = await books.submitted(external)
    await books.orders.request_cancel(cancel_of(key))
    books.gateway.replies.append(accepted(key.order_id, external, "filled", 10, outcome="too-late"))

    state = await books.ask(books.exchange.send_cancel, key)
    result = await books.orders.settle(
        settle(key, a_fill(f"{external}-1", 10, 20_000, external=external))
    )

    assert (state.status, state.settled) == ("pending_cancel", False)
    assert (result.state.status, result.state.settled) == ("filled", True)


async def test_a_refused_cancel_makes_the_order_live_again_and_it_may_be_asked_anew(
    books: Books,
) -> None:
    external = external_id()
    key = await books.submitted(external)

    for _ in range(2):
        await books.orders.request_cancel(cancel_of(key))
        books.gateway.replies.append(GatewayReply("refused", code="trading"))
        state = await books.ask(books.exchange.send_cancel, key)
        assert state.status == "submitted"

    assert (await books.balances()).held_cents == 200_000


async def test_the_first_reply_stays_what_it_was_whatever_becomes_of_the_order(
    books: Books,
) -> None:
    key = await books.submitted(external_id())
    first = await books.orders.adopt(key)
    await books.orders.request_cancel(cancel_of(key))
    books.gateway.replies.append(GatewayReply("refused", code="trading"))
    await books.ask(books.exchange.send_cancel, key)

    again = await books.orders.adopt(key)

    assert first.reply is not None
    assert again.reply == first.reply


async def test_an_order_cancelled_before_it_was_sent_is_over(books: Books) -> None:
    key = await books.reserved()
    await books.orders.request_cancel(cancel_of(key))
    books.gateway.replies.append(GatewayReply("absent"))

    state = await books.ask(books.exchange.send_cancel, key)

    assert (state.status, state.settled) == ("cancelled", True)
    assert books.gateway.asked == [CancelRequest(key.order_id, None)]
    assert (await books.balances()).held_cents == 0


async def test_an_unanswered_cancel_changes_nothing(books: Books) -> None:
    key = await books.submitted(external_id())
    await books.orders.request_cancel(cancel_of(key))
    books.gateway.replies.append(GatewayReply("unknown"))

    with pytest.raises(ApplicationError):
        await books.ask(books.exchange.send_cancel, key)

    assert (await books.order(key)).status is S.PENDING_CANCEL


async def test_an_order_that_has_ended_is_not_asked_to_go(books: Books) -> None:
    external = external_id()
    key = await books.submitted(external)
    await books.orders.settle(settle(key, a_fill(f"{external}-1", 10, 20_000, external=external)))

    state = await books.orders.request_cancel(cancel_of(key))

    assert state.status == "filled"


async def test_order_that_the_exchange_forgot_is_cancelled_with_what_is_booked(
    books: Books, caplog: pytest.LogCaptureFixture
) -> None:
    external = external_id()
    key = await books.submitted(external)
    await books.orders.settle(settle(key, a_fill(f"{external}-1", 4, 20_000, external=external)))
    await books.orders.request_cancel(cancel_of(key))
    books.gateway.replies.append(GatewayReply("absent"))

    state = await books.ask(books.exchange.send_cancel, key)

    order = await books.order(key)
    assert (state.status, state.settled) == ("cancelled", True)
    assert (order.filled_shares, order.reason) == (4, "unknown-at-exchange")
    assert (await books.balances()).held_cents == 0
    assert f"the exchange forgot order {key.order_id}" in caplog.text


async def test_fill_of_a_forgotten_order_is_booked_all_the_same(books: Books) -> None:
    external = external_id()
    key = await books.submitted(external)
    await books.orders.request_cancel(cancel_of(key))
    books.gateway.replies.append(GatewayReply("absent"))
    await books.ask(books.exchange.send_cancel, key)

    result = await books.orders.settle(
        settle(key, a_fill(f"{external}-1", 3, 20_000, external=external))
    )

    assert result.state.status == "cancelled"
    assert (await books.order(key)).filled_shares == 3
    assert (await books.balances()).positions[0].shares == 53


async def test_refused_cancel_by_our_own_id_tells_that_the_exchange_has_the_order(
    books: Books,
) -> None:
    key, external = await books.reserved(), external_id()
    await books.orders.request_cancel(cancel_of(key))
    books.gateway.replies.append(accepted(key.order_id, external, outcome="refused"))

    state = await books.ask(books.exchange.send_cancel, key)

    assert (state.status, state.external_order_id) == ("submitted", external)
    assert (await books.order(key)).outcome is Outcome.ACCEPTED
    assert f"routes.{external}" in books.bus.subjects()


async def test_cancelled_order_that_reads_as_open_is_asked_again(books: Books) -> None:
    external = external_id()
    key = await books.submitted(external)
    await books.orders.request_cancel(cancel_of(key))
    books.gateway.replies.append(accepted(key.order_id, external, "open", outcome="cancelled"))

    with pytest.raises(ApplicationError) as caught:
        await books.ask(books.exchange.send_cancel, key)

    assert caught.value.type == "OutcomeUnknown"
    assert (await books.order(key)).status is S.PENDING_CANCEL


# -- what an `ioc` order waits for -------------------------------------------------------------


async def test_ioc_order_that_still_stands_at_the_exchange_is_asked_for_again(
    books: Books,
) -> None:
    key, external = await books.reserved(time_in_force="ioc"), external_id()
    books.gateway.replies.append(accepted(key.order_id, external))

    with pytest.raises(ApplicationError) as caught:
        await books.ask(books.exchange.resolve_submission, key)

    assert caught.value.type == "OutcomeUnknown"
    assert (await books.order(key)).external_order_id == external


async def test_ioc_order_that_the_exchange_forgot_is_cancelled_with_what_is_booked(
    books: Books,
) -> None:
    key, external = await books.reserved(time_in_force="ioc"), external_id()
    await books.orders.settle(settle(key, a_fill(f"{external}-1", 4, 20_000, external=external)))
    await books.past_send_by(key)
    books.gateway.replies += [GatewayReply("absent"), GatewayReply("absent")]

    state = await books.ask(books.exchange.resolve_submission, key)

    assert (state.status, state.settled, state.unanswered) == ("cancelled", True, False)
    assert (await books.order(key)).filled_shares == 4
    assert (await books.balances()).held_cents == 0
