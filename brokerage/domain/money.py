"""Money is whole cents in an int. Nothing here is rounded, and nothing passes through a float."""


def notional_cents(shares: int, price_cents: int) -> int:
    """What `shares` whole shares cost at `price_cents` each."""
    return shares * price_cents


def format_dollars(amount_cents: int) -> str:
    """`-$1,234.05` for -123405; a division by 100 would lose cents past 2**53."""
    dollars, cents = divmod(abs(amount_cents), 100)
    return f"{'-' if amount_cents < 0 else ''}${dollars:,}.{cents:02d}"
