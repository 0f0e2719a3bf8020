"""Every transaction sums to zero in every asset, and the firm bears what the customer must not."""

from collections import Counter
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokerage.domain.ledger import (
    CASH,
    Borne,
    ErrorCause,
    LedgerAccount,
    Posting,
    allocate,
    allocation_of,
    allocation_postings,
    charged_price_cents,
    opening_postings,
    reversed_postings,
    user_amount,
)
from brokerage.domain.orders import Side

SIDES = st.sampled_from(Side)
SHARES = st.integers(min_value=1, max_value=100_000)
PRICES = st.integers(min_value=1, max_value=10_000_000)


def sums(postings: Iterable[Posting]) -> set[int]:
    """What the postings add up to, asset by asset."""
    by_asset: Counter[str] = Counter()
    for posting in postings:
        by_asset[posting.asset] += posting.amount
    return set(by_asset.values())


def of(postings: Iterable[Posting], account: LedgerAccount, asset: str) -> int:
    """What the postings add to one account."""
    return sum(leg.amount for leg in postings if (leg.account, leg.asset) == (account, asset))


def executed(side: Side, shares: int, booked: int, price: int, limit: int) -> tuple[Posting, ...]:
    """The postings of an execution of IBM; what is not booked for the customer is an overfill."""
    rest = shares - booked
    over = Borne(ErrorCause.OVERFILL, rest, rest * price)
    return allocation_postings(side, "IBM", allocate(side, shares, booked, price, limit, over))


@given(SIDES, SHARES, SHARES, PRICES, PRICES)
def test_an_execution_sums_to_zero_in_every_asset(
    side: Side, shares: int, wanted: int, price: int, limit: int
) -> None:
    booked = min(shares, wanted)

    postings = executed(side, shares, booked, price, limit)

    assert sums(postings) == {0}
    assert all(posting.amount for posting in postings)


@given(SIDES, SHARES, PRICES, PRICES)
def test_the_customer_never_pays_more_nor_gets_less_than_the_limit(
    side: Side, shares: int, price: int, limit: int
) -> None:
    postings = executed(side, shares, shares, price, limit)

    cash = user_amount(postings, CASH)
    if side is Side.BUY:
        assert -cash == shares * min(price, limit)
    else:
        assert cash == shares * max(price, limit)


@given(SIDES, SHARES, SHARES, PRICES, PRICES)
def test_the_clearing_account_owes_what_was_executed(
    side: Side, shares: int, wanted: int, price: int, limit: int
) -> None:
    sign = 1 if side is Side.BUY else -1

    postings = executed(side, shares, min(shares, wanted), price, limit)

    assert of(postings, LedgerAccount.CLEARING, CASH) == sign * shares * price
    assert of(postings, LedgerAccount.CLEARING, "IBM") == -sign * shares


def test_a_price_within_the_limit_concerns_the_customer_alone() -> None:
    postings = executed(Side.BUY, 4, 4, 19_990, 20_000)

    assert set(postings) == {
        Posting(LedgerAccount.USER, CASH, -79_960),
        Posting(LedgerAccount.CLEARING, CASH, 79_960),
        Posting(LedgerAccount.USER, "IBM", 4),
        Posting(LedgerAccount.CLEARING, "IBM", -4),
    }


@pytest.mark.parametrize(
    ("side", "price", "customer", "firm"),
    [(Side.BUY, 20_010, -80_000, -40), (Side.SELL, 19_990, 80_000, -40)],
)
def test_the_firm_bears_what_is_worse_than_the_limit(
    side: Side, price: int, customer: int, firm: int
) -> None:
    postings = executed(side, 4, 4, price, 20_000)

    assert user_amount(postings, CASH) == customer
    assert of(postings, LedgerAccount.ERROR, CASH) == firm


def test_shares_that_are_not_the_customers_are_the_firms() -> None:
    postings = executed(Side.BUY, 10, 4, 20_000, 20_000)

    assert user_amount(postings, "IBM") == 4
    assert of(postings, LedgerAccount.ERROR, "IBM") == 6
    assert of(postings, LedgerAccount.ERROR, CASH) == -6 * 20_000


@given(SIDES, SHARES, SHARES, PRICES, PRICES)
def test_an_execution_can_be_told_from_its_postings_and_taken_back_leg_by_leg(
    side: Side, shares: int, wanted: int, price: int, limit: int
) -> None:
    postings = executed(side, shares, min(shares, wanted), price, limit)

    allocation = allocation_of(side, postings)
    taken_back = allocation_of(side, (*postings, *reversed_postings(postings)))

    assert set(allocation_postings(side, "IBM", allocation)) == set(postings)
    assert (allocation.executed_shares, allocation.executed_cents) == (shares, shares * price)
    assert (taken_back.shares, taken_back.cents, taken_back.borne) == (0, 0, ())


@given(SIDES, SHARES, SHARES, PRICES, PRICES)
def test_only_what_the_firm_bears_has_a_cause(
    side: Side, shares: int, wanted: int, price: int, limit: int
) -> None:
    for posting in executed(side, shares, min(shares, wanted), price, limit):
        assert (posting.account is LedgerAccount.ERROR) == (posting.cause is not None)


def test_the_charged_price_is_the_better_of_execution_and_limit() -> None:
    assert charged_price_cents(Side.BUY, 101, 100) == 100
    assert charged_price_cents(Side.BUY, 99, 100) == 99
    assert charged_price_cents(Side.SELL, 101, 100) == 101
    assert charged_price_cents(Side.SELL, 99, 100) == 100


def test_an_opening_is_posted_against_the_opening_account() -> None:
    postings = opening_postings(10_000_000, {"SPY": 100, "IBM": 50}, {})

    assert sums(postings) == {0}
    assert user_amount(postings, CASH) == 10_000_000
    assert user_amount(postings, "SPY") == 100
    assert of(postings, LedgerAccount.OPENING, "IBM") == -50


def test_shares_of_an_opening_cost_the_last_price_where_it_is_known() -> None:
    postings = opening_postings(500, {"SPY": 100, "IBM": 50}, {"SPY": 16_745, "META": 1, CASH: 7})

    assert {(leg.account, leg.asset): leg.cost_cents for leg in postings} == {
        (LedgerAccount.USER, CASH): None,
        (LedgerAccount.OPENING, CASH): None,
        (LedgerAccount.USER, "SPY"): 1_674_500,
        (LedgerAccount.OPENING, "SPY"): -1_674_500,
        (LedgerAccount.USER, "IBM"): None,
        (LedgerAccount.OPENING, "IBM"): None,
    }
