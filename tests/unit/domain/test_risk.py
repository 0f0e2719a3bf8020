"""May this order be placed? Each rule at its edge, and the order in which they answer."""

from dataclasses import replace
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokerage.domain import risk
from brokerage.domain.booking import Books, books_after
from brokerage.domain.orders import Order, OrderStatus, Side
from brokerage.domain.risk import AccountState, Caps, OwnOrder, Standing
from tests.support.orders import an_order

LAST: Final = 20_000
RICH: Final = Books(cash_cents=10**12, held_cents=0, position_shares=500, held_shares=0)
CAPS: Final = Caps(order_shares=100, order_notional_cents=2_200_000, position_shares=1_000)
ACTIVE: Final = Standing(AccountState.ACTIVE, CAPS)
BUY, SELL = an_order(), an_order(side=Side.SELL)


def own(side: Side, price_cents: int, status: OrderStatus = OrderStatus.SUBMITTED) -> OwnOrder:
    return OwnOrder("0b9bb1b6-7d6a-5c0b-8a5e-1f4f6f0f0002", side, price_cents, status)


def codes(order: Order, books: Books = RICH, standing: Standing = ACTIVE) -> list[str]:
    return [one.code for one in risk.refusals(order, books, standing, LAST)]


def test_an_order_that_breaks_no_rule_is_taken_in_with_its_hold() -> None:
    change = risk.admit(BUY, RICH, ACTIVE, LAST)

    assert (change.refusal, change.hold_shares, change.held_cents_delta) == (None, 10, 200_000)


def test_an_order_that_breaks_a_rule_is_kept_as_rejected_and_holds_nothing() -> None:
    change = risk.admit(replace(BUY, shares=101), RICH, ACTIVE, LAST)

    assert (change.order.status, change.order.reason) == (OrderStatus.REJECTED, "order-too-large")
    assert (change.hold_shares, change.held_cents_delta) == (0, 0)


@pytest.mark.parametrize(
    ("state", "buy", "sell"),
    [
        (AccountState.ACTIVE, [], []),
        (AccountState.CLOSE_ONLY, ["account-close-only"], []),
        (AccountState.FROZEN, ["account-frozen"], ["account-frozen"]),
    ],
)
def test_the_state_of_the_account_says_what_it_may_do(
    state: AccountState, buy: list[str], sell: list[str]
) -> None:
    standing = replace(ACTIVE, state=state)

    assert codes(BUY, standing=standing) == buy
    assert codes(SELL, standing=standing) == sell


def test_a_close_only_account_sells_no_more_than_it_has_free() -> None:
    standing = replace(ACTIVE, state=AccountState.CLOSE_ONLY)
    books = replace(RICH, position_shares=12, held_shares=3)

    assert codes(replace(SELL, shares=9), books, standing) == []
    assert codes(replace(SELL, shares=10), books, standing) == ["insufficient-shares"]


@pytest.mark.parametrize("side", Side)
def test_the_caps_on_one_order_are_taken_at_their_edge_and_not_past_it(side: Side) -> None:
    largest = an_order(side=side, shares=100)
    dearest = an_order(side=side, shares=100, price_cents=22_000)

    [too_large] = risk.refusals(replace(largest, shares=101), RICH, ACTIVE, LAST)
    [too_dear] = risk.refusals(replace(dearest, price_cents=22_001), RICH, ACTIVE, LAST)

    assert (codes(largest), codes(dearest)) == ([], [])
    assert (too_large.code, too_large.required, too_large.available) == (
        ("order-too-large", 101, 100)
    )
    assert (too_dear.code, too_dear.required, too_dear.available) == (
        ("order-too-large", 2_200_100, 2_200_000)
    )


@pytest.mark.parametrize(("shares", "taken"), [(100, True), (101, False)])
def test_a_position_is_capped_with_all_that_open_buys_may_bring(shares: int, taken: bool) -> None:
    standing = replace(
        ACTIVE, caps=replace(CAPS, order_shares=500, position_shares=700), incoming_shares=100
    )
    order = replace(BUY, shares=shares, price_cents=100)

    found = list(risk.refusals(order, RICH, standing, LAST))

    if taken:
        assert found == []
        return
    [refusal] = found
    assert (refusal.code, refusal.required, refusal.available) == ("position-limit", 101, 100)


def test_a_position_past_its_cap_can_be_sold_and_has_no_room() -> None:
    standing = replace(ACTIVE, caps=replace(CAPS, position_shares=400))

    [refusal] = risk.refusals(BUY, RICH, standing, LAST)

    assert (refusal.code, refusal.available) == ("position-limit", 0)
    assert codes(SELL, standing=standing) == []


@pytest.mark.parametrize(
    ("order", "opposing", "could_trade"),
    [
        (BUY, own(Side.SELL, 20_000), True),
        (BUY, own(Side.SELL, 20_001), False),
        (BUY, own(Side.SELL, 1), True),
        (SELL, own(Side.BUY, 20_000), True),
        (SELL, own(Side.BUY, 19_999), False),
        (SELL, own(Side.BUY, 23_000), True),
        (BUY, None, False),
    ],
)
def test_an_order_may_not_meet_an_own_one(
    order: Order, opposing: OwnOrder | None, could_trade: bool
) -> None:
    found = codes(order, standing=replace(ACTIVE, opposing=opposing))

    assert found == (["self-trade"] if could_trade else [])


def test_a_self_trade_names_the_order_that_is_in_the_way() -> None:
    standing = replace(ACTIVE, opposing=own(Side.SELL, 19_500))

    [refusal] = risk.refusals(BUY, RICH, standing, LAST)

    assert refusal.extra == {
        "conflictingOrderId": "0b9bb1b6-7d6a-5c0b-8a5e-1f4f6f0f0002",
        "conflictingPosition": "sell",
        "conflictingPriceInCents": 19_500,
        "conflictingStatus": "submitted",
    }
    assert "may trade until" not in refusal.detail


def test_an_order_whose_cancel_is_not_answered_is_still_in_the_way_and_says_so() -> None:
    leaving = own(Side.SELL, 19_500, OrderStatus.PENDING_CANCEL)

    [refusal] = risk.refusals(BUY, RICH, replace(ACTIVE, opposing=leaving), LAST)

    assert refusal.code == "self-trade"
    assert refusal.detail.endswith("which may trade until its cancel is answered")


RULES: Final = (
    "account-frozen",
    "order-too-large",
    "order-too-large",
    "price-out-of-band",
    "self-trade",
    "position-limit",
    "insufficient-buying-power",
)


def test_the_rules_answer_in_their_order() -> None:
    order = an_order(shares=2_000, price_cents=LAST * 2)
    standing = replace(ACTIVE, state=AccountState.FROZEN, opposing=own(Side.SELL, 1))
    poor = replace(RICH, cash_cents=0)
    cures: tuple[tuple[str, Any], ...] = (
        ("standing", {"state": AccountState.ACTIVE}),
        ("standing", {"caps": Caps(10_000, CAPS.order_notional_cents, CAPS.position_shares)}),
        ("standing", {"caps": Caps(10_000, 10**12, CAPS.position_shares)}),
        ("order", {"price_cents": LAST}),
        ("standing", {"opposing": None}),
        ("standing", {"caps": Caps(10_000, 10**12, 10_000)}),
        ("books", {"cash_cents": 10**12}),
    )
    now: dict[str, Any] = {"order": order, "standing": standing, "books": poor}

    for number, (what, cure) in enumerate(cures):
        assert codes(**now) == list(RULES[number:])
        answer = risk.admit(now["order"], now["books"], now["standing"], LAST).refusal
        assert answer is not None
        assert answer.code == RULES[number]
        now[what] = replace(now[what], **cure)

    assert codes(**now) == []


@given(
    side=st.sampled_from(Side),
    shares=st.integers(1, 200),
    price=st.integers(1, 40_000),
    cash=st.integers(0, 3_000_000),
    held=st.integers(0, 3_000_000),
    position=st.integers(0, 1_200),
    held_shares=st.integers(0, 1_200),
    incoming=st.integers(0, 1_200),
    state=st.sampled_from(AccountState),
    opposing=st.none() | st.integers(1, 40_000),
)
def test_a_preview_says_what_happens_and_an_order_that_is_taken_breaks_no_rule(
    side: Side,
    shares: int,
    price: int,
    cash: int,
    held: int,
    position: int,
    held_shares: int,
    incoming: int,
    state: AccountState,
    opposing: int | None,
) -> None:
    order = an_order(side=side, shares=shares, price_cents=price, limit_price_cents=price)
    books = Books(cash, min(held, cash), position, min(held_shares, position))
    other = Side.SELL if side is Side.BUY else Side.BUY
    standing = Standing(state, CAPS, incoming, None if opposing is None else own(other, opposing))

    preview = risk.preview(order, books, standing, LAST)
    change = risk.admit(order, books, standing, LAST)

    told = preview.refusals

    assert (change.refusal and change.refusal.code) == (told[0].code if told else None)
    after = books_after(books, change)
    assert preview.after == after
    assert 0 <= after.held_cents <= after.cash_cents
    assert 0 <= after.held_shares <= after.position_shares
    if change.refusal is not None:
        assert after == books
        return
    assert change.order.status is OrderStatus.PENDING
    assert state is not AccountState.FROZEN
    if side is Side.BUY:
        assert state is AccountState.ACTIVE
        assert position + incoming + shares <= CAPS.position_shares
        assert opposing is None or price < opposing
    else:
        assert opposing is None or opposing < price
