"""The order that a request stands for, and the terms that are sent of it to the exchange."""

import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Final

from brokerage.contracts.commands import StartOrder
from brokerage.contracts.gateway import PlaceRequest
from brokerage.contracts.ids import account_ref_for
from brokerage.domain.orders import Order, OrderType, Side, TimeInForce
from brokerage.domain.prices import sent_price_cents

SEND_BY_SECONDS: Final = 10
"""An order that is not at the exchange this long after its claim is never sent any more."""


def new_order(start: StartOrder) -> Order:
    """The order as it is before anything was decided about it."""
    side = Side(start.side)
    order_type = OrderType.MARKET if start.limit_price_cents is None else OrderType.LIMIT
    created_at = datetime.fromtimestamp(start.claimed_at_ms / 1000, UTC)
    return Order(
        order_id=start.order_id,
        user_id=start.user_id,
        symbol=start.symbol,
        side=side,
        order_type=order_type,
        time_in_force=TimeInForce(start.time_in_force),
        shares=start.shares,
        limit_price_cents=start.limit_price_cents,
        price_cents=sent_price_cents(
            side, order_type, start.limit_price_cents, start.last_price_cents
        ),
        send_by=created_at + timedelta(seconds=SEND_BY_SECONDS),
        created_at=created_at,
        updated_at=created_at,
    )


def terms_hash(
    *, position: str, symbol: str, shares: int, price_cents: int | None, time_in_force: str
) -> bytes:
    """SHA-256 of the order that is meant: spaces, field order and spelt-out defaults do not count.

    `price_cents` is the customer's limit, None for a market order. Kept beside every key: a change
    of this text makes every known key look reused.
    """
    canonical = {
        "numShares": shares,
        "position": position,
        "priceInCents": price_cents,
        "symbol": symbol,
        "timeInForce": time_in_force,
    }
    text = json.dumps(canonical, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).digest()


def place_request(order: Order) -> PlaceRequest:
    """The stored terms: the same on every attempt."""
    return PlaceRequest(
        client_order_id=order.order_id,
        account_ref=account_ref_for(order.user_id),
        symbol=order.symbol,
        side=order.side.value,
        price_cents=order.price_cents,
        shares=order.shares,
        time_in_force=order.time_in_force.value,
        send_by_ms=int(order.send_by.timestamp() * 1000),
    )
