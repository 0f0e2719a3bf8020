"""Whole cents stay whole cents, also where a float would have lost them."""

import pytest

from brokerage.domain.money import format_dollars, notional_cents


@pytest.mark.parametrize(
    ("cents", "text"),
    [
        (0, "$0.00"),
        (5, "$0.05"),
        (-5, "-$0.05"),
        (123_405, "$1,234.05"),
        (-123_405, "-$1,234.05"),
        (2**53 + 1, "$90,071,992,547,409.93"),
    ],
)
def test_cents_are_shown_to_the_cent(cents: int, text: str) -> None:
    assert format_dollars(cents) == text


def test_a_notional_is_exact() -> None:
    assert notional_cents(3, 2**53 + 1) == 3 * 2**53 + 3
