"""What the exchange keeps about an order and an execution; more than it tells its members."""

from typing import Final, Protocol

import msgspec

from exchange.protocol import Execution, OrderReport, OrderStatus, Placement, Side, TimeInForce

LIVE: Final = "open"


class Order(msgspec.Struct):
    """One order. `leaves_shares` may still trade; `number` counts the orders of all members.

    `leaves_shares` is not `shares - cumulative_shares`: a bust takes away from what was executed,
    but brings nothing back to the book. `rank` is the time priority, given when the order came to
    the book (0: it never did); `held` orders wait outside the book for their release.
    """

    number: int
    order_id: str
    member: str
    client_order_id: str
    account: str
    symbol: str
    side: Side
    price_cents: int
    shares: int
    time_in_force: TimeInForce
    placed_at_ms: int
    leaves_shares: int
    status: OrderStatus = "open"
    cumulative_shares: int = 0
    cumulative_notional_cents: int = 0
    rank: int = 0
    held: bool = False
    release_at_ms: int = 0
    code: str | None = None
    reason: str | None = None

    def report(self) -> OrderReport:
        """Return the order as its member may see it."""
        return OrderReport(
            order_id=self.order_id,
            client_order_id=self.client_order_id,
            account=self.account,
            symbol=self.symbol,
            side=self.side,
            price_cents=self.price_cents,
            shares=self.shares,
            time_in_force=self.time_in_force,
            status=self.status,
            cumulative_shares=self.cumulative_shares,
            cumulative_notional_cents=self.cumulative_notional_cents,
            placed_at_ms=self.placed_at_ms,
            reason=self.reason,
        )

    def has_terms_of(self, placement: Placement) -> bool:
        """Whether `placement` asks for this very order; `send_by_ms` is not one of its terms."""
        return (
            self.account == placement.account
            and self.symbol == placement.symbol
            and self.side == placement.side
            and self.price_cents == placement.price_cents
            and self.shares == placement.shares
            and self.time_in_force == placement.time_in_force
        )


class ExecutionRecord(msgspec.Struct):
    """An execution as it stands now, and whose it is; `number` counts those of all members."""

    number: int
    member: str
    execution: Execution
    busted: bool = False


class MemberState(msgspec.Struct):
    """Where a member's message sequence stands, and what it ever had."""

    seq: int = 0
    orders: int = 0
    executions: int = 0


class Archive(Protocol):
    """Where records are found that the engine no longer holds in memory."""

    def order(self, number: int) -> Order | None:
        """Return the order of that number."""

    def order_by_client_id(self, member: str, client_order_id: str) -> Order | None:
        """Return the order the member placed, or tried to place, under its id."""

    def is_cancelled_ahead(self, member: str, client_order_id: str) -> bool:
        """Whether a cancel for this id came before any placement of it."""

    def execution(self, number: int) -> ExecutionRecord | None:
        """Return the execution of that number."""


class NoArchive:
    """The archive of an engine that keeps everything in memory, as in a replay."""

    def order(self, number: int) -> Order | None:
        """Return None: whatever exists is in memory."""
        return None

    def order_by_client_id(self, member: str, client_order_id: str) -> Order | None:
        """Return None: whatever exists is in memory."""
        return None

    def is_cancelled_ahead(self, member: str, client_order_id: str) -> bool:
        """Return False: whatever exists is in memory."""
        return False

    def execution(self, number: int) -> ExecutionRecord | None:
        """Return None: whatever exists is in memory."""
        return None
