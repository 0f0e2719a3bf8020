"""Cents at risk by cause."""

from datetime import timedelta

from brokerage.domain.exposure import Exposure, Posted, error_exposures, total_cents
from tests.support.orders import NOON

LATER = NOON + timedelta(minutes=1)


def test_the_error_account_is_worth_its_positions_either_way() -> None:
    posted = [
        Posted("overfill", "USD", -6_000, 2, LATER),
        Posted("overfill", "IBM", 3, 2, NOON),
        Posted("overfill", "META", -2, 1, LATER),
        Posted("uncovered-bust", "USD", 700, 1, LATER),
    ]

    exposures = error_exposures(posted, {"IBM": 1_000, "META": 500})

    assert exposures == [
        Exposure("overfill", 2, 3 * 1_000 + 2 * 500, NOON, cash_cents=-6_000),
        Exposure("uncovered-bust", 1, 0, LATER, cash_cents=700),
    ]
    assert total_cents(exposures) == 4_000


def test_what_has_no_price_is_not_taken_for_nothing() -> None:
    [exposure] = error_exposures([Posted("overfill", "IBM", 3, 1, NOON)], {})

    assert exposure.cents is None
    assert total_cents([exposure, Exposure("unknown-outcome", 1, 5, NOON)]) is None


def test_a_position_that_was_taken_out_again_needs_no_price() -> None:
    [exposure] = error_exposures([Posted("overfill", "IBM", 0, 2, NOON)], {})

    assert exposure.cents == 0
