"""What Sherwood's HTTP interface answers, as frozen structs.

Cents and shares are ints, times are aware datetimes in UTC. A field the server adds later is
ignored, and a status it adds later is just another string: an old client keeps working.
"""

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

Position = Literal["buy", "sell"]
TimeInForce = Literal["day", "gtc", "ioc"]
Interval = Literal["1s", "1m", "5m", "15m", "1h", "1d"]
Window = Literal["1d", "1w", "1m", "1y", "all"]


def _wire_name(field: str) -> str:
    """Return `price_cents` as `priceInCents`: units last here, spelled out on the wire."""
    first, *rest = field.split("_")
    camel = first + "".join(word.capitalize() for word in rest)
    return f"{camel.removesuffix('Cents')}InCents" if camel.endswith("Cents") else camel


class Answer(msgspec.Struct, frozen=True, kw_only=True, rename=_wire_name):
    """The common shape: immutable, by keyword, named on the wire as the interface names it."""


class Token(Answer, frozen=True, kw_only=True):
    """A bearer token and, where the server says so, when it ends."""

    token: str
    expires_at: datetime | None = None


class Order(Answer, frozen=True, kw_only=True):
    """One order. `price_cents` is the customer's limit, None for a market order."""

    id: UUID
    position: Position
    symbol: str
    num_shares: int
    status: str
    outcome: str | None = None
    type: str | None = None
    time_in_force: str | None = None
    price_cents: int | None = None
    external_order_id: str | None = None
    filled_shares: int = 0
    filled_notional_cents: int = 0
    reason: str | None = None
    version: int = 0
    created_at: datetime | None = None
    updated_at: datetime | None = None

    @property
    def placement_is_unknown(self) -> bool:
        """Whether the exchange has not yet said yes or no to this order."""
        return self.outcome == "unknown" or (self.outcome is None and self.status == "pending")

    @property
    def cancel_is_unknown(self) -> bool:
        """Whether a cancel of this order, once asked for, still waits for the exchange."""
        return self.status in {"pending", "pending_cancel"}


class Placement(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a placement: the order, and whether this key had already been answered."""

    order: Order
    replayed: bool


class Cancellation(Answer, frozen=True, kw_only=True):
    """The answer to a cancel: `ok` is False while the exchange has not answered."""

    ok: bool
    order: Order


class CancelledOrder(Answer, frozen=True, kw_only=True):
    """What became of one of several orders.

    `status` is what a cancel of it alone would be answered with (200, 202, 409, 503), `code` the
    problem's where there is one.
    """

    id: UUID
    status: int
    ok: bool
    order: Order
    code: str | None = None


class CancelledOrders(Answer, frozen=True, kw_only=True):
    """The answer to a cancel of all: `ok` is True when nothing is left open, `more` when there are
    open orders that this request did nothing about.
    """

    ok: bool
    items: tuple[CancelledOrder, ...]
    more: bool = False


class Traded(Answer, frozen=True, kw_only=True):
    """What traded while an order stood, from bars of `interval` that begin at `since` or later.

    `reached_volume` is the shares of the bars whose range reaches its limit, `missed_volume` of
    those since its last fill; all trades up to `until` are in them.
    """

    interval: str
    since: datetime
    until: datetime | None = None
    best_price_cents: int | None = None
    reached_volume: int = 0
    missed_volume: int = 0


class Why(Answer, frozen=True, kw_only=True):
    """Why an order has not filled: a code for programs, a sentence for people, and the facts.

    `limit_cents` is what was sent, of a market order its collar; `distance_cents` is from there to
    the best price since, 0 once it was reached.
    """

    order_id: UUID
    at: datetime
    waits_for: str
    explanation: str
    status: str
    limit_cents: int
    num_shares: int
    filled_shares: int
    leaves_shares: int
    traded: Traded
    reason: str | None = None
    last_fill_at: datetime | None = None
    last_price_cents: int | None = None
    last_price_at: datetime | None = None
    best_price_cents: int | None = None
    distance_cents: int | None = None


class OrderPage(Answer, frozen=True, kw_only=True):
    """Orders, newest first; `next_cursor` asks for the page after this one."""

    items: tuple[Order, ...]
    next_cursor: str | None = None


class FirstBooked(Answer, frozen=True, kw_only=True):
    """An execution as it was booked at first."""

    shares: int
    price_cents: int
    notional_cents: int


class Execution(Answer, frozen=True, kw_only=True):
    """One execution of an order: `shares` for `notional_cents` in all.

    `price_improvement_cents` is how much better that is than at `sent_price_cents`, the order's
    limit or collar. `status` is `booked`, `busted` or `corrected`; then `was` says how it began.
    """

    id: str
    order_id: UUID
    position: Position
    symbol: str
    shares: int
    price_cents: int | None
    notional_cents: int
    sent_price_cents: int
    price_improvement_cents: int
    status: str
    was: FirstBooked | None = None
    at: datetime
    booked_at: datetime
    amended_at: datetime | None = None


class ExecutionPage(Answer, frozen=True, kw_only=True):
    """Executions, newest first; `next_cursor` asks for the page after this one."""

    items: tuple[Execution, ...]
    next_cursor: str | None = None
    as_of_seq: int | None = None


class Tick(Answer, frozen=True, kw_only=True):
    """The newest price of a symbol; all but its name is None for one that never traded."""

    symbol: str
    price_cents: int | None = None
    open_cents: int | None = None
    high_cents: int | None = None
    low_cents: int | None = None
    volume: int | None = None
    at: datetime | None = None
    v: int | None = None

    @property
    def change_cents(self) -> int | None:
        """Price less the day's opening price."""
        if self.price_cents is None or self.open_cents is None:
            return None
        return self.price_cents - self.open_cents


class ListedSymbol(Tick, frozen=True, kw_only=True):
    """A symbol of the directory: its tick, and the company's name."""

    name: str | None = None


class SymbolPage(Answer, frozen=True, kw_only=True):
    """Symbols of the directory; `next_cursor` asks for the page after this one."""

    items: tuple[ListedSymbol, ...]
    next_cursor: str | None = None


class Clock(Answer, frozen=True, kw_only=True):
    """The time, and whether the exchange takes orders; None is what nobody knows at this moment.

    `next_open_at` and `next_close_at` are those of the regular session, which binds if `sessions`
    is `regular`.
    """

    at: datetime
    feed: str
    exchange_at: datetime | None = None
    is_open: bool | None = None
    sessions: str | None = None
    next_open_at: datetime | None = None
    next_close_at: datetime | None = None
    halted: tuple[str, ...] | None = None


class Holding(Answer, frozen=True, kw_only=True):
    """Shares of one symbol; `held_shares` of them are promised to open sell orders."""

    symbol: str
    shares: int
    held_shares: int = 0
    price_cents: int | None = None
    value_cents: int | None = None


class Portfolio(Answer, frozen=True, kw_only=True):
    """Cash and shares of one user. Buying power is cash less what open buy orders hold. `state` is
    `active`, `close-only` or `frozen`; None where the past was asked for.

    `as_of_seq` is the last order event this includes; values are at the prices of `at`.
    """

    user_id: str
    cash_cents: int
    held_cash_cents: int
    buying_power_cents: int
    state: str | None = None
    positions: tuple[Holding, ...] = ()
    total_value_cents: int | None = None
    as_of_seq: int | None = None
    at: datetime | None = None


class Bar(Answer, frozen=True, kw_only=True):
    """What was traded in one interval, from `at` on; the newest one may still grow."""

    at: datetime
    open_cents: int
    high_cents: int
    low_cents: int
    close_cents: int
    volume: int
    notional_cents: int
    trades: int


class BarPage(Answer, frozen=True, kw_only=True):
    """Bars, ascending; `next_cursor` asks for the page after this one."""

    items: tuple[Bar, ...]
    next_cursor: str | None = None


class ValuePoint(Answer, frozen=True, kw_only=True):
    """The account at one time; the value is None while a price of `unpriced` symbols is unknown.

    `profit_cents` is the value less all that was put in by then.
    """

    at: datetime
    value_cents: int | None
    cash_cents: int
    profit_cents: int | None
    unpriced: tuple[str, ...] = ()


class PortfolioHistory(Answer, frozen=True, kw_only=True):
    """The value of an account over time, ascending; the last point is now.

    `uncosted` are symbols whose shares were put in at a cost that nobody knows: no profit then.
    """

    window: str
    step: str
    opened_at: datetime
    base_value_cents: int | None
    window_profit_cents: int | None
    uncosted: tuple[str, ...] = ()
    points: tuple[ValuePoint, ...]


class Hello(Answer, frozen=True, kw_only=True):
    """The first event of a price stream."""

    stream_id: str | None = None
    heartbeat_seconds: float | None = None


class StreamTicket(Answer, frozen=True, kw_only=True):
    """What opens one stream, once, within its seconds: `GET /subscribe?symbols=&ticket=`."""

    ticket: str
    expires_in_seconds: float
