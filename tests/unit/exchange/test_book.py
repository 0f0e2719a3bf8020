"""Resting orders, by price, then time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.book import Book, BookSide, allows
from exchange.records import Order


def order(number: int, price_cents: int, side: str = "buy") -> Order:
    return Order(
        number=number,
        order_id=f"X{number}",
        member="m",
        client_order_id=f"c{number}",
        account="a",
        symbol="REC",
        side="buy" if side == "buy" else "sell",
        price_cents=price_cents,
        shares=1,
        time_in_force="day",
        placed_at_ms=0,
        leaves_shares=1,
    )


@given(st.lists(st.integers(1, 5), max_size=30), st.booleans())
def test_side_is_sorted_by_price_then_time(prices: list[int], is_buy: bool) -> None:
    side = BookSide(is_buy=is_buy)
    orders = [order(number, cents) for number, cents in enumerate(prices)]

    for one in orders:
        side.add(one)

    sign = -1 if is_buy else 1
    assert list(side) == sorted(orders, key=lambda one: (sign * one.price_cents, one.number))
    assert side.best() == next(iter(side), None)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=20), st.data())
def test_removed_order_is_gone_and_the_others_stay(prices: list[int], data: st.DataObject) -> None:
    side = BookSide(is_buy=True)
    orders = [order(number, cents) for number, cents in enumerate(prices)]
    for one in orders:
        side.add(one)
    gone = data.draw(st.sampled_from(orders))

    side.remove(gone)

    assert len(side) == len(orders) - 1
    assert gone not in list(side)
    with pytest.raises(KeyError):
        side.remove(gone)


def test_order_rests_on_its_own_side_and_trades_against_the_other() -> None:
    book = Book()

    assert book.side_of(order(1, 5)) is book.buys
    assert book.opposite_of(order(1, 5)) is book.sells
    assert book.side_of(order(1, 5, "sell")) is book.sells
    assert book.opposite_of(order(1, 5, "sell")) is book.buys


def test_limit_allows_itself_and_better() -> None:
    assert [allows(order(1, 5), cents) for cents in (4, 5, 6)] == [True, True, False]
    assert [allows(order(1, 5, "sell"), cents) for cents in (4, 5, 6)] == [False, True, True]
