"""What the exchange promises its members: every message of its order API and of its feed.

This module is the whole of what a member may know of the exchange. It imports nothing of the
exchange and nothing of any member. Money is whole cents, quantities are whole shares, times are
milliseconds since the Unix epoch, UTC. On the wire all of it is JSON with camelCase names.

A member names itself in the header `X-Member` (a query parameter `member` on the feed).

The order API (HTTP):

| Request | Body | Answer |
|---|---|---|
| `POST /v1/orders` | `Placement` | `PlacementReply` |
| `POST /v1/orders/batch` | `PlacementBatch`, at most `BATCH_MAX` | `PlacementBatchReply` |
| `POST /v1/cancels` | `Cancellation` | `CancelReply` |
| `POST /v1/cancels/all` | `MassCancellation` | `MassCancelReply` |
| `GET /v1/orders/{orderId}` | | `OrderReport`, or 404 `Problem` |
| `GET /v1/orders/by-client-id/{clientOrderId}` | | `OrderReport`, or 404 `Problem` |
| `GET /v1/orders?after=&limit=` | | `OrderPage`, oldest first |
| `GET /v1/executions?after=&limit=` | | `ExecutionPage`, oldest first |
| `GET /v1/statement?sequence=&after=&limit=&ids=` | | `StatementPage`, by `clientOrderId` |
| `GET /v1/statement/positions?sequence=` | | `PositionStatement` |
| `GET /v1/status` | | `Status` |

A refusal by the rules of the market is a `200` with outcome `refused`: an answer, kept for good.
A body that is not a placement at all is `422` with a `Problem`. Anything else (5xx, no answer, an
unreadable one) tells nothing about what became of the order.

The feed (`WS /v1/feed?member=&afterMember=&afterTrade=`): each text frame is a JSON array of
`FeedMessage`. The first is `Hello`. Sequences: `Trade.seq` counts public trades; the messages that
concern one member (`Execution`, `Bust`, `Correction`, `End`) share a second, gapless `seq` of that
member. A number in the query is the last one the member has seen, all later ones are replayed
first. Member messages are replayable from the very first; public trades for at least
`TRADE_REPLAY_SECONDS` (older, or no `afterTrade`: a `Snapshot` stands in for what is missed).

`TradingStatus` is a state and no event: it comes whole, in `Hello` and whenever it changes, and
the newest replaces what was known. Every heartbeat names its version, so a lost one is noticed: a
new connection has it in its `Hello`.
"""

from typing import Final, Literal

import msgspec

BATCH_MAX: Final = 50
PAGE_MAX: Final = 1_000
STATEMENT_PAGE_MAX: Final = 100
STATEMENT_MESSAGES_MAX: Final = 1_000
"""Of a page of a statement; what one order alone has beyond it is left out."""
HEARTBEAT_SECONDS: Final = 1.0
TRADE_REPLAY_SECONDS: Final = 600
VISIBILITY_SECONDS: Final = 2.0
"""An accepted order is visible to queries no later than this; to cancels it is visible at once."""

Side = Literal["buy", "sell"]
TimeInForce = Literal["day", "gtc", "ioc"]
OrderStatus = Literal["open", "filled", "cancelled", "expired", "rejected"]
Sessions = Literal["off", "regular", "closed"]
"""When orders are taken: around the clock; weekdays 09:30 to 16:00, New York; not at all."""


class Message(msgspec.Struct, frozen=True, rename="camel"):
    """Base of all messages: immutable, camelCase on the wire."""


class Placement(Message, frozen=True, forbid_unknown_fields=True):
    """One order. Repeating a `client_order_id` returns the order it named first, never a second.

    `account` is opaque to the exchange and echoed in everything that concerns the order. A
    placement that is new at the exchange after `send_by_ms` is refused.
    """

    client_order_id: str
    account: str
    symbol: str
    side: Side
    price_cents: int
    shares: int
    send_by_ms: int
    time_in_force: TimeInForce = "day"


class PlacementBatch(Message, frozen=True, forbid_unknown_fields=True):
    """Several orders in one request; each is answered on its own."""

    orders: list[Placement]


class OrderReport(Message, frozen=True):
    """An order as the exchange has it. `cumulative_shares` is what was ever executed of it."""

    order_id: str
    client_order_id: str
    account: str
    symbol: str
    side: Side
    price_cents: int
    shares: int
    time_in_force: TimeInForce
    status: OrderStatus
    cumulative_shares: int
    cumulative_notional_cents: int
    placed_at_ms: int
    reason: str | None = None


class PlacementReply(Message, frozen=True):
    """`accepted` with the order as it is now, or `refused` with a stable `code` and a `reason`.

    A refused placement is remembered under its `client_order_id`; a repeat is refused the same.
    Codes: `unknown-symbol`, `invalid-terms`, `past-send-by`, `cancelled-before-placed`, `halted`,
    `market-closed`, `terms-differ` (the id was used with other terms), `refused` (by a fault rule).
    """

    client_order_id: str
    outcome: Literal["accepted", "refused"]
    order: OrderReport | None = None
    code: str | None = None
    reason: str | None = None


class PlacementBatchReply(Message, frozen=True):
    """One reply for each placement, in the order of the request."""

    replies: list[PlacementReply]


class Cancellation(Message, frozen=True, forbid_unknown_fields=True):
    """Cancel one order, named by exactly one of the two ids."""

    client_order_id: str | None = None
    order_id: str | None = None


class CancelReply(Message, frozen=True):
    """What became of a cancel.

    `cancelled`: the order is off the book now (or was cancelled before). `too-late`: it had ended
    another way (`order.status` says how). `unknown-remembered`: no such client order id; a later
    placement under it will be refused. `refused`: the order is live and stays so; or, with code
    `unknown-order` and without `order`, the exchange has none by that id of its own.
    """

    outcome: Literal["cancelled", "too-late", "unknown-remembered", "refused"]
    order: OrderReport | None = None
    code: str | None = None
    reason: str | None = None


class MassCancellation(Message, frozen=True, forbid_unknown_fields=True):
    """Cancel every live order of the member, or those of one account or symbol.

    The feed tells the end of each, so that a member who loses the reply loses nothing.
    """

    account: str | None = None
    symbol: str | None = None


class MassCancelReply(Message, frozen=True):
    """The orders that were taken off the book."""

    cancelled: list[OrderReport]


class Problem(Message, frozen=True):
    """An error that is not an answer about an order (RFC 9457 names)."""

    status: int
    code: str
    detail: str


class OrderPage(Message, frozen=True):
    """Orders in the order they arrived; `next_after` is the cursor of the following page."""

    items: list[OrderReport]
    next_after: str | None = None


class Execution(Message, frozen=True, tag="execution", tag_field="type"):
    """One match of a member's order. `execution_id` is never used twice.

    The feed names the order by the exchange's own id only.
    """

    seq: int
    execution_id: str
    order_id: str
    account: str
    symbol: str
    side: Side
    price_cents: int
    shares: int
    cumulative_shares: int
    at_ms: int


class ExecutionPage(Message, frozen=True):
    """A member's executions, oldest first, as they stand after busts and corrections."""

    items: list[Execution]
    next_after: int | None = None


class Bust(Message, frozen=True, tag="bust", tag_field="type"):
    """An execution that is declared never to have happened."""

    seq: int
    bust_id: str
    execution_id: str
    order_id: str
    account: str
    symbol: str
    cumulative_shares: int
    at_ms: int


class Correction(Message, frozen=True, tag="correction", tag_field="type"):
    """An execution whose price or shares were wrong; the new values replace the old."""

    seq: int
    correction_id: str
    execution_id: str
    order_id: str
    account: str
    symbol: str
    price_cents: int
    shares: int
    cumulative_shares: int
    at_ms: int


class End(Message, frozen=True, tag="end", tag_field="type"):
    """An order left the book without the member asking for it by name: it expired, the exchange
    cancelled it, or it was among those of a mass cancel.

    `cumulative_shares` is all that was ever executed of it.
    """

    seq: int
    order_id: str
    account: str
    symbol: str
    status: Literal["expired", "cancelled"]
    cumulative_shares: int
    reason: str
    at_ms: int


class Trade(Message, frozen=True, tag="trade", tag_field="type"):
    """A public print. `at_ms` is when it was emitted, `tape_at_ms` when it was recorded."""

    seq: int
    symbol: str
    price_cents: int
    shares: int
    at_ms: int
    tape_at_ms: int | None = None


class Listing(Message, frozen=True):
    """A symbol of the directory."""

    symbol: str
    name: str


class TradingStatus(Message, frozen=True, tag="trading", tag_field="type"):
    """Whether anything trades and placements are taken, and in which symbols not. Cancels are.

    `version` rises with every change; it is compared within one connection only, as it begins anew
    with the process. `next_open_ms` and `next_close_ms` are those of the regular session whether
    `sessions` makes it bind or not; None while the market is closed and nobody knows for how long.
    """

    version: int
    state: Literal["open", "closed"]
    sessions: Sessions
    next_open_ms: int | None
    next_close_ms: int | None
    halted: list[str]
    at_ms: int


class Hello(Message, frozen=True, tag="hello", tag_field="type"):
    """First message of a connection: the directory, where both sequences stand, what is traded.

    `session` names the exchange's journal: it stays through restarts, and every id of the exchange
    has it in it. Another one means another history: all sequences began anew.
    """

    session: str
    listings: list[Listing]
    member_seq: int
    trade_seq: int
    heartbeat_seconds: float
    trading: TradingStatus


class DayStatistics(Message, frozen=True):
    """The trading day of one symbol so far; `seq` is the last trade it includes."""

    symbol: str
    seq: int
    price_cents: int
    open_cents: int
    high_cents: int
    low_cents: int
    volume: int
    at_ms: int


class Snapshot(Message, frozen=True, tag="snapshot", tag_field="type"):
    """Every symbol as of `trade_seq`; stands in for trades that are no longer replayed."""

    trade_seq: int
    symbols: list[DayStatistics]


class Heartbeat(Message, frozen=True, tag="heartbeat", tag_field="type"):
    """Sent every `HEARTBEAT_SECONDS`, also when nothing trades. All are the newest sent."""

    member_seq: int
    trade_seq: int
    trading_version: int
    at_ms: int


class DayStart(Message, frozen=True, tag="day", tag_field="type"):
    """A new trading day of the market began: open, high, low and volume start anew."""

    trade_seq: int
    at_ms: int


MemberMessage = Execution | Bust | Correction | End


class StatedOrder(Message, frozen=True):
    """An order as it is now, with what the feed said of it up to the statement's sequence.

    A placement and a member's own cancel have no sequence. Messages are the oldest first; `is_cut`
    says that there are more than a page holds.
    """

    order: OrderReport
    messages: list[MemberMessage]
    is_cut: bool = False


class StatementPage(Message, frozen=True):
    """A member's orders by `clientOrderId`, at `sequence` of its messages: the newest if none was
    asked for; one that was not reached is refused (`sequence-ahead`).
    """

    sequence: int
    items: list[StatedOrder]
    next_after: str | None = None


class PositionStatement(Message, frozen=True):
    """What a member's executions come to at `sequence`: shares by symbol, bought less sold, and
    cash, received less paid; after busts and corrections.
    """

    sequence: int
    cash_cents: int
    shares: dict[str, int]


FeedMessage = Hello | TradingStatus | Snapshot | Heartbeat | DayStart | Trade | MemberMessage


class MemberCounts(Message, frozen=True):
    """What one member did since the exchange process started; orders and executions since ever."""

    open_connections: int
    open_feed_connections: int
    connections_max: int
    requests: int
    requests_by_route: dict[str, int]
    orders: int
    executions: int
    member_seq: int


class Status(Message, frozen=True):
    """The state of the market, and the counts by member. A `speed` of 0 is unbound."""

    state: Literal["open", "closed"]
    speed: float
    market_position: int
    trade_seq: int
    symbols: int
    trades_per_second: float
    feed_connections: int
    halted: list[str]
    members: dict[str, MemberCounts]
