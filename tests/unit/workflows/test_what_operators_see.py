"""The words and labels that Temporal's UI shows of an order, by how it stands."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product

import pytest
from temporalio.common import SearchAttributePair

from activities.orders import state_of
from brokerage.contracts.commands import OrderState, StartOrder
from brokerage.contracts.placements import new_order
from brokerage.domain.orders import OrderStatus, Side
from brokerage.domain.states import OPEN
from tests.support.orders import an_order
from workflows.details import details, status_label
from workflows.labels import labels

AT = datetime(2026, 3, 2, 12, 0, 5, tzinfo=UTC)
PARTLY = OrderState(
    status="partially_filled",
    version=3,
    settled=False,
    external_order_id="x-1",
    shares=1_000,
    filled_shares=400,
    changed_at_ms=int(AT.timestamp() * 1000),
)


def so(**changes: object) -> OrderState:
    return replace(PARTLY, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("state", "begins", "label"),
    [
        (
            so(status="pending", unanswered=True, filled_shares=0),
            "**Unknown outcome.** The exchange has not answered whether it has this order;"
            " 0 of 1,000 shares filled. Unchanged since 2026-03-02 12:00:05 UTC.",
            "unknown-outcome",
        ),
        (
            # An `ioc` order whose fill was told before the answer.
            so(unanswered=True),
            "**Unknown outcome.**",
            "unknown-outcome",
        ),
        (
            so(status="pending_cancel"),
            "**Waiting for cancel.** It was asked for with 400 of 1,000 shares filled, and the"
            " exchange has not answered. Unchanged since 2026-03-02 12:00:05 UTC.",
            "waiting-for-cancel",
        ),
        (
            so(status="pending_cancel", ended=True),
            "**Executions missing.** It has ended at the exchange, which executed more than is"
            " booked here: 400 of 1,000 shares filled.",
            None,
        ),
        (
            so(),
            "**At the exchange** as `x-1`, 400 of 1,000 shares filled. Unchanged since"
            " 2026-03-02 12:00:05 UTC.",
            None,
        ),
        (so(status="cancelled", ended=True), "**Executions missing.**", None),
        (
            so(status="filled", settled=True, filled_shares=1_000),
            "**Filled** since 2026-03-02 12:00:05 UTC, 1,000 of 1,000 shares filled.",
            None,
        ),
        (so(status="failed", settled=True), "**Failed** since", None),
        (
            # As it was recorded before shares and times were told to workflows.
            OrderState(status="submitted", version=2, settled=False, external_order_id="x-1"),
            "**At the exchange** as `x-1`, filled as far as its row says. Unchanged since before"
            " this was recorded.",
            None,
        ),
    ],
)
def test_details_say_what_an_order_waits_for(
    state: OrderState, begins: str, label: str | None
) -> None:
    assert details(state).startswith(begins)
    assert status_label(state) == label


def test_an_order_that_waits_is_told_what_comes_next_and_one_that_is_over_is_not() -> None:
    flags = product((False, True), repeat=3)
    for status, (ended, settled, unanswered) in product(OrderStatus, flags):
        if settled and status in OPEN:
            continue
        state = so(status=status.value, ended=ended, settled=settled, unanswered=unanswered)

        assert ("**Next:**" in details(state)) == (not settled or status_label(state) is not None)


def test_the_workflow_is_told_the_numbers_of_the_row() -> None:
    state = state_of(an_order(filled_shares=3))

    assert (state.shares, state.filled_shares) == (10, 3)
    assert "3 of 10 shares filled. Unchanged since 2026-03-02 12:00:00 UTC" in details(state)


def test_a_run_is_labelled_alike_whether_it_places_the_order_or_takes_it_over() -> None:
    market = StartOrder(
        "0b9bb1b6-7d6a-5c0b-8a5e-1f4f6f0f0001",
        "alice",
        "SPY",
        "sell",
        1_200,
        idempotency_key="k",
        last_price_cents=20_000,
        address="192.0.2.1",
    )
    limit = replace(market, limit_price_cents=123_456, time_in_force="gtc")

    assert labels(market)["static_summary"] == "sell 1,200 SPY market day, alice"
    assert labels(limit)["static_summary"] == "sell 1,200 SPY at $1,234.56 gtc, alice"
    for start, order_type in ((market, "market"), (limit, "limit")):
        attributes: Iterable[SearchAttributePair[str]] = labels(start)["search_attributes"]
        assert {pair.key.name: str(pair.value) for pair in attributes} == {
            "UserId": "alice",
            "Symbol": "SPY",
            "Side": Side.SELL,
            "OrderType": order_type,
        }
        assert labels(new_order(start)) == labels(start)
