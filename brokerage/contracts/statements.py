"""The exchange's statement of our orders, as the gateway hands it on."""

from dataclasses import dataclass, field
from typing import Literal

from brokerage.contracts.events import ExecutionReport


@dataclass(frozen=True, slots=True)
class StatementRequest:
    """A page of the statement at `sequence` of our messages, None: the newest.

    Orders come by `clientOrderId`, those after `after`; with `order_ids`, at most 100, only these.
    """

    sequence: int | None = None
    after: str = ""
    order_ids: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class StatedOrder:
    """An order as the exchange has it now, and what it told of it up to the statement's sequence.

    `status` is one of open, filled, cancelled, expired, rejected. `is_cut`: there are more reports
    than a statement holds of one order.
    """

    client_order_id: str
    external_order_id: str
    account_ref: str
    symbol: str
    side: str
    shares: int
    price_cents: int
    time_in_force: str
    placed_at_ms: int
    status: str
    reason: str | None
    cumulative_shares: int
    cumulative_notional_cents: int
    reports: list[ExecutionReport]
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class Statement:
    """A page, or with outcome `unknown` none, and `code` says why."""

    outcome: Literal["stated", "unknown"]
    sequence: int = 0
    orders: list[StatedOrder] = field(default_factory=list)
    next_after: str | None = None
    code: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class PositionsRequest:
    """What our executions come to at `sequence`, None: the newest."""

    sequence: int | None = None


@dataclass(frozen=True, slots=True)
class StatedPositions:
    """Shares by symbol, bought less sold; cash received less paid. Or outcome `unknown`."""

    outcome: Literal["stated", "unknown"]
    sequence: int = 0
    cash_cents: int = 0
    shares: dict[str, int] = field(default_factory=dict)
    code: str | None = None
    reason: str | None = None
