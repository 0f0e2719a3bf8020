import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.command.money import (
    average_cents,
    format_change,
    format_dollars,
    format_percent,
    parse_dollars,
)


@pytest.mark.parametrize(
    ("text", "cents"),
    [
        ("522.10", 52210),
        ("522.1", 52210),
        ("522", 52200),
        ("0.01", 1),
        ("0.29", 29),  # 0.29 * 100 is 28.999... in floats
        ("999999999999.99", 99_999_999_999_999),
    ],
)
def test_dollars_become_exact_cents(text: str, cents: int) -> None:
    assert parse_dollars(text) == cents


@pytest.mark.parametrize(
    "text",
    [
        *("", " 5", "0", "0.00", "-1", "+1", "1e3", "NaN", "inf", "1,000", "1_000"),
        *("5.001", ".5", "5.", "$5", "\u0665", "1.\u0665", "1000000000000"),
    ],
)
def test_anything_but_plain_dollars_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"dollars|more than zero"):
        parse_dollars(text)


@given(st.integers(min_value=1, max_value=10**14 - 1))
def test_what_is_written_reads_back_as_the_same_cents(cents: int) -> None:
    assert parse_dollars(format_dollars(cents).replace(",", "")) == cents


def test_amounts_are_written_with_thousands_cents_and_sign() -> None:
    assert format_dollars(123_456_789) == "1,234,567.89"
    assert format_dollars(-5) == "-0.05"
    assert format_dollars(2**63) == "92,233,720,368,547,758.08"
    assert [format_change(cents) for cents in (105, 0, -20)] == ["+1.05", "0.00", "-0.20"]


def test_percent_is_rounded_to_two_decimals() -> None:
    assert format_percent(210, 52_000) == "+0.40%"
    assert format_percent(-1, 3) == "-33.33%"
    assert format_percent(1, 1_000_000) == "0.00%"


def test_average_is_the_notional_by_the_shares_rounded_half_up() -> None:
    assert average_cents(522_095, 10) == 52_210
    assert average_cents(0, 0) is None
