"""Collar and band, at their edges."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokerage.domain.orders import OrderType, Side
from brokerage.domain.prices import (
    band_refusal,
    collar_cents,
    sent_price_cents,
)

PRICES = st.integers(min_value=1, max_value=10_000_000)


@pytest.mark.parametrize(
    ("side", "last", "collar"),
    [
        (Side.BUY, 1, 2),
        (Side.BUY, 19, 20),  # 5 % are less than a cent
        (Side.BUY, 20, 21),
        (Side.BUY, 39, 40),  # 40.95, rounded down
        (Side.BUY, 52_210, 54_820),
        (Side.SELL, 1, 1),
        (Side.SELL, 2, 2),  # 1.9, rounded up
        (Side.SELL, 20, 19),
        (Side.SELL, 21, 20),
        (Side.SELL, 52_210, 49_600),
    ],
)
def test_a_market_order_is_sent_at_its_collar(side: Side, last: int, collar: int) -> None:
    assert collar_cents(side, last) == collar
    assert sent_price_cents(side, OrderType.MARKET, None, last) == collar


@given(PRICES)
def test_a_collar_is_a_price_that_can_trade(last: int) -> None:
    assert collar_cents(Side.BUY, last) > last
    assert 1 <= collar_cents(Side.SELL, last) <= last
    assert collar_cents(Side.SELL, last) * 100 >= last * 95


@given(PRICES)
def test_a_market_order_is_never_out_of_band(last: int) -> None:
    for side in Side:
        assert band_refusal(side, collar_cents(side, last), last) is None


def test_a_limit_order_is_sent_at_its_limit() -> None:
    assert sent_price_cents(Side.BUY, OrderType.LIMIT, 19_990, 20_000) == 19_990


@pytest.mark.parametrize(
    ("side", "price", "last"),
    [
        (Side.BUY, 120, 100),
        (Side.BUY, 1, 100),
        (Side.BUY, 121, 101),  # 121.2
        (Side.SELL, 80, 100),
        (Side.SELL, 1_000_000, 100),
        (Side.SELL, 81, 101),  # 80.8
    ],
)
def test_a_price_at_the_edge_of_the_band_is_taken(side: Side, price: int, last: int) -> None:
    assert band_refusal(side, price, last) is None


@pytest.mark.parametrize(
    ("side", "price", "last", "furthest"),
    [
        (Side.BUY, 121, 100, 120),
        (Side.BUY, 122, 101, 121),
        (Side.BUY, 3, 1, 2),
        (Side.SELL, 79, 100, 80),
        (Side.SELL, 80, 101, 81),
    ],
)
def test_a_price_past_the_band_is_refused_with_the_furthest_that_is_taken(
    side: Side, price: int, last: int, furthest: int
) -> None:
    refusal = band_refusal(side, price, last)

    assert refusal is not None
    assert refusal.code == "price-out-of-band"
    assert (refusal.required, refusal.available) == (price, furthest)
    assert band_refusal(side, furthest, last) is None
