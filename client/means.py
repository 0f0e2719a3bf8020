"""What an order would need of an account, and what the open ones hold of it."""

from datetime import datetime
from typing import Any
from uuid import UUID

from client.models import Answer, Position


class Hold(Answer, frozen=True, kw_only=True):
    """What one order holds: cash for a buy, shares for a sell; the other is None.

    `why` is `open`, or `executed` where the order has ended and only its booking is missing.
    """

    order_id: UUID
    position: Position
    symbol: str
    status: str
    shares: int
    sent_price_cents: int
    held_cash_cents: int | None
    held_shares: int | None
    since: datetime
    why: str


class HeldShares(Answer, frozen=True, kw_only=True):
    """Shares of one symbol that open sells hold."""

    symbol: str
    held_shares: int


class HoldPage(Answer, frozen=True, kw_only=True):
    """Holds, newest order first, and all that is held, those of other pages included."""

    items: tuple[Hold, ...]
    held_cash_cents: int
    held_shares: tuple[HeldShares, ...] = ()
    as_of_seq: int | None = None
    next_cursor: str | None = None


class Preview(Answer, frozen=True, kw_only=True):
    """What placing an order would do. `problems` are the refusals as the interface words them, the
    first of them the answer; figures are those before and after, the same if it would be refused.
    """

    accepted: bool
    sent_price_cents: int
    required_cash_cents: int
    required_shares: int
    estimated_notional_cents: int
    buying_power_cents: int
    buying_power_after_cents: int
    sellable_shares: int
    sellable_shares_after: int
    last_price_cents: int
    last_price_at: datetime
    problems: tuple[dict[str, Any], ...] = ()
    as_of_seq: int | None = None
    at: datetime | None = None
