"""What an order may cost: the collar of a market order and the band around the last price."""

from typing import Final

from brokerage.domain.errors import Rejected
from brokerage.domain.money import format_dollars
from brokerage.domain.orders import OrderType, Side

COLLAR_PERCENT: Final = 5
BUY_BAND_PERCENT: Final = 120
SELL_BAND_PERCENT: Final = 80


def collar_cents(side: Side, last_price_cents: int) -> int:
    """The limit a market order is sent with: 5 % past the last price, and at least one cent.

    A market order without a limit would trade at any price in an empty book; this is the field's
    usual answer (a marketable limit).
    """
    if side is Side.BUY:
        return max(last_price_cents + 1, last_price_cents * (100 + COLLAR_PERCENT) // 100)
    # Ceiling division: the sell collar must not fall below 95 %.
    return max(1, -(-last_price_cents * (100 - COLLAR_PERCENT) // 100))


def sent_price_cents(
    side: Side, order_type: OrderType, limit_price_cents: int | None, last_price_cents: int
) -> int:
    """The price an order goes to the exchange with."""
    if order_type is OrderType.LIMIT and limit_price_cents is not None:
        return limit_price_cents
    return collar_cents(side, last_price_cents)


def band_refusal(side: Side, price_cents: int, last_price_cents: int) -> Rejected | None:
    """Refuse a price that is more likely a slip of the finger than a wish.

    The band is one-sided: a buy far below the market, or a sell far above it, harms nobody.
    """
    # The collar's one cent is more than the band below five cents; it is never out of band.
    buy_limit = max(
        last_price_cents * BUY_BAND_PERCENT // 100, collar_cents(Side.BUY, last_price_cents)
    )
    if side is Side.BUY and price_cents > buy_limit:
        return Rejected(
            "price-out-of-band",
            f"a buy at {format_dollars(price_cents)} is more than {BUY_BAND_PERCENT} % of the "
            f"last price, {format_dollars(last_price_cents)}",
            required=price_cents,
            available=buy_limit,
        )
    if side is Side.SELL and price_cents * 100 < last_price_cents * SELL_BAND_PERCENT:
        limit = -(-last_price_cents * SELL_BAND_PERCENT // 100)
        return Rejected(
            "price-out-of-band",
            f"a sell at {format_dollars(price_cents)} is less than {SELL_BAND_PERCENT} % of the "
            f"last price, {format_dollars(last_price_cents)}",
            required=price_cents,
            available=limit,
        )
    return None
