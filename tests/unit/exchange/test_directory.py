"""The list of symbols."""

import pytest

from exchange.directory import real_securities, securities


def test_directory_has_at_least_a_hundred_real_symbols() -> None:
    symbols = [security.symbol for security in securities(None)]

    assert len(symbols) >= 100
    assert {"AIG", "BAC", "IBM", "SPY", "META", "AAPL", "BRK.B"} <= set(symbols)
    assert all(security.base_cents > 0 and security.name for security in securities(None))


def test_thousands_of_symbols_are_all_different_and_always_the_same() -> None:
    many = securities(5000)

    assert len({security.symbol for security in many}) == 5000
    assert len({security.name for security in many}) == 5000
    assert many[:300] == securities(300)
    assert many[: len(real_securities())] == real_securities()
    assert all(security.symbol.isascii() and len(security.symbol) <= 5 for security in many)


@pytest.mark.parametrize("count", [1, 10_000_000])
def test_impossible_number_of_symbols_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match="symbols"):
        securities(count)
