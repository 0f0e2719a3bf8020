"""What an order waits for, by what is known of it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokerage.domain.orders import Order, OrderStatus, Outcome, Side
from brokerage.domain.why import LastTrade, Traded, WaitsFor, Why, distance_cents, why
from tests.support.orders import NOON, an_order

NOTHING = Traded(None, 0, 0)
FAR = Traded(21_050, 0, 0)
LATER = NOON + timedelta(seconds=5)
RESTING = an_order(status=OrderStatus.SUBMITTED, outcome=Outcome.ACCEPTED)
PARTLY = replace(RESTING, status=OrderStatus.PARTIALLY_FILLED, filled_shares=4, executed_shares=4)


def asked(
    order: Order,
    traded: Traded = FAR,
    last: LastTrade | None = None,
    *,
    is_open: bool | None = True,
    is_halted: bool = False,
) -> Why:
    return why(order, traded, last, is_open=is_open, is_halted=is_halted)


@pytest.mark.parametrize(
    ("order", "market", "waits_for", "explanation"),
    [
        (
            replace(RESTING, status=OrderStatus.EXPIRED, reason="end of the day"),
            {"is_halted": True},
            WaitsFor.ENDED,
            "It is expired (end of the day) with 0 of 10 shares filled.",
        ),
        (
            replace(PARTLY, status=OrderStatus.FILLED, filled_shares=10),
            {"is_open": None},
            WaitsFor.ENDED,
            "It is filled with 10 of 10 shares filled.",
        ),
        (
            replace(
                PARTLY,
                status=OrderStatus.PENDING_CANCEL,
                end_status=OrderStatus.CANCELLED,
                final_shares=6,
            ),
            {},
            WaitsFor.EXECUTIONS_MISSING,
            "It ended at the exchange; 2 shares executed there are not booked here yet.",
        ),
        (
            replace(PARTLY, status=OrderStatus.PENDING_CANCEL),
            {"is_open": None},
            WaitsFor.WAITING_FOR_CANCEL,
            "A cancel was asked for with 4 of 10 shares filled; the exchange has not answered yet.",
        ),
        (
            an_order(),
            {"is_open": False},
            WaitsFor.UNKNOWN_OUTCOME,
            "The exchange has not answered yet; it is asked until the answer is known.",
        ),
        (
            RESTING,
            {"is_open": None, "is_halted": True},
            WaitsFor.FEED_STALE,
            "The exchange's feed is silent: nobody here knows what trades now.",
        ),
        (
            RESTING,
            {"is_open": False, "is_halted": True},
            WaitsFor.MARKET_CLOSED,
            "The market is closed; 0 of 10 shares are filled, the rest stays.",
        ),
        (
            PARTLY,
            {"is_halted": True},
            WaitsFor.SYMBOL_HALTED,
            "IBM is halted; 4 of 10 shares are filled, the rest stays.",
        ),
        (
            PARTLY,
            {"traded": Traded(19_990, 300, 200)},
            WaitsFor.REACHED_BUT_BEHIND_OTHERS,
            "Its $200.00 was reached while 200 shares traded: they went to orders before it, or its"
            " fill is on its way.",
        ),
        (
            RESTING,
            {"traded": NOTHING, "last": LastTrade(20_000, NOON - timedelta(seconds=1))},
            WaitsFor.REACHED_BUT_BEHIND_OTHERS,
            "The last price reaches its $200.00: what was offered there is gone, or its fill is on"
            " its way.",
        ),
        (
            RESTING,
            {},
            WaitsFor.PRICE_NOT_REACHED,
            "The best price since, $210.50, is $10.50 from its $200.00.",
        ),
        (
            PARTLY,
            {"traded": Traded(19_990, 300, 0)},
            WaitsFor.PRICE_NOT_REACHED,
            "4 of 10 shares are filled; since the last of them its $200.00 was not reached.",
        ),
        (
            RESTING,
            {"traded": NOTHING},
            WaitsFor.PRICE_NOT_REACHED,
            "IBM has not traded since it was sent; its limit is $200.00.",
        ),
    ],
)
def test_order_waits_for_the_first_thing_that_must_happen(
    order: Order, market: dict[str, Any], waits_for: WaitsFor, explanation: str
) -> None:
    answer = asked(order, **market)

    assert (answer.waits_for, answer.explanation) == (waits_for, explanation)


def test_last_price_counts_as_the_best_if_it_came_after_the_order() -> None:
    before, after = LastTrade(20_100, NOON - timedelta(seconds=1)), LastTrade(20_100, LATER)

    assert asked(RESTING, FAR, before).best_price_cents == 21_050
    assert (asked(RESTING, FAR, after).best_price_cents, 100) == (
        20_100,
        asked(RESTING, FAR, after).distance_cents,
    )
    assert asked(replace(RESTING, status=OrderStatus.CANCELLED), FAR, after).distance_cents == 1_050


def test_market_order_is_measured_against_its_collar() -> None:
    order = replace(RESTING, limit_price_cents=None, price_cents=21_000)

    assert asked(order).distance_cents == 50


MARKETS = st.builds(
    Traded,
    best_price_cents=st.none() | st.integers(1, 40_000),
    reached_volume=st.integers(0, 500),
    missed_volume=st.integers(0, 500),
)
LASTS = st.none() | st.builds(
    LastTrade,
    price_cents=st.integers(1, 40_000),
    at=st.integers(-10, 10).map(lambda seconds: NOON + timedelta(seconds=seconds)),
)
ORDERS = st.builds(
    an_order,
    status=st.sampled_from(OrderStatus),
    side=st.sampled_from(Side),
    price_cents=st.integers(1, 40_000),
    filled_shares=st.integers(0, 9),
    end_status=st.none() | st.just(OrderStatus.CANCELLED),
)


@given(ORDERS, MARKETS, LASTS, st.none() | st.booleans(), st.booleans())
def test_every_answer_agrees_with_what_is_known(
    order: Order, traded: Traded, last: LastTrade | None, is_open: bool | None, is_halted: bool
) -> None:
    answer = asked(order, traded, last, is_open=is_open, is_halted=is_halted)

    prices = [price for price in (traded.best_price_cents,) if price is not None]
    assert (answer.waits_for is WaitsFor.ENDED) == (not order.is_open)
    assert answer.explanation.endswith(".")
    if answer.best_price_cents is None:
        assert (prices, answer.distance_cents) == ([], None)
    else:
        assert answer.distance_cents == distance_cents(order, answer.best_price_cents)
        assert all(distance_cents(order, price) >= (answer.distance_cents or 0) for price in prices)
    if answer.waits_for is WaitsFor.PRICE_NOT_REACHED:
        assert traded.missed_volume == 0
        assert last is None or distance_cents(order, last.price_cents) > 0
        assert is_open
        assert not is_halted


@given(st.integers(1, 40_000), st.integers(1, 40_000))
def test_sell_is_as_far_away_as_a_buy_is_within(limit_cents: int, price_cents: int) -> None:
    buy = an_order(price_cents=limit_cents)
    sell = replace(buy, side=Side.SELL)

    away = distance_cents(buy, price_cents) or distance_cents(sell, price_cents)
    assert away == abs(price_cents - limit_cents)
