"""Dollars as people write them, cents as the broker counts them; exact in both directions."""

import re
from decimal import Decimal
from typing import Final

# Twelve digits keep every price and every notional far inside 64 bits, also after the factor 100.
_DOLLARS: Final = re.compile(r"[0-9]{1,12}(\.[0-9]{1,2})?", re.ASCII)


def parse_dollars(text: str) -> int:
    """Return the cents in `text`, dollars with at most two decimals, such as `522.10`.

    Raises ValueError for anything else: signs, exponents, separators, a third decimal, zero.
    """
    if not _DOLLARS.fullmatch(text):
        raise ValueError(f"{text!r} is not dollars with at most two decimals, such as 522.10")
    price_cents = int(Decimal(text).scaleb(2))
    if price_cents == 0:
        raise ValueError("a price must be more than zero")
    return price_cents


def format_dollars(amount_cents: int) -> str:
    """Return `1234567` as `12,345.67`; negative amounts with a leading minus."""
    dollars, cents = divmod(abs(amount_cents), 100)  # `/ 100` would lose cents past 2**53
    return f"{'-' if amount_cents < 0 else ''}{dollars:,}.{cents:02d}"


def format_change(amount_cents: int) -> str:
    """Return a difference with its sign always shown: `+1.05`, `-0.20`, `0.00`."""
    return f"{'+' if amount_cents > 0 else ''}{format_dollars(amount_cents)}"


def format_percent(part_cents: int, whole_cents: int) -> str:
    """Return `part` in percent of `whole` with two decimals and its sign; `whole` is positive."""
    percent = (Decimal(part_cents) * 100 / Decimal(whole_cents)).quantize(Decimal("0.01"))
    return f"{percent:+}%" if percent else "0.00%"


def average_cents(notional_cents: int, shares: int) -> int | None:
    """Return the mean price in cents, rounded half up, for display only; None of no shares."""
    return (2 * notional_cents + shares) // (2 * shares) if shares else None
