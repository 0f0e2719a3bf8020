"""Orders and reports of the exchange for tests: plain values, with what a test names changed."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from brokerage.contracts.commands import CancelRequested, OrderKey, SettleRequest
from brokerage.contracts.events import ExecutionReport
from brokerage.domain.orders import Order, OrderType, Side, TimeInForce

NOON: Final = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)

BUY_TEN: Final = Order(
    order_id="0b9bb1b6-7d6a-5c0b-8a5e-1f4f6f0f0001",
    user_id="ada",
    symbol="IBM",
    side=Side.BUY,
    order_type=OrderType.LIMIT,
    time_in_force=TimeInForce.DAY,
    shares=10,
    limit_price_cents=20_000,
    price_cents=20_000,
    send_by=NOON + timedelta(seconds=10),
    created_at=NOON,
    updated_at=NOON,
)


def an_order(**changes: Any) -> Order:
    """A pending limit order to buy 10 IBM at $200.00, except for `changes`."""
    return replace(BUY_TEN, **changes)


def a_fill(
    report_id: str, shares: int, price_cents: int, *, feed_seq: int = 1, external: str = "x-1"
) -> ExecutionReport:
    """The exchange's report of one execution."""
    return ExecutionReport(
        report_id=report_id,
        kind="fill",
        external_order_id=external,
        feed_seq=feed_seq,
        symbol="IBM",
        shares=shares,
        price_cents=price_cents,
        cumulative_shares=shares,
        at_ms=1_772_452_800_000,
    )


def a_bust(
    report_id: str, execution_id: str, *, feed_seq: int = 2, external: str = "x-1"
) -> ExecutionReport:
    """The exchange's report that an execution never happened."""
    return a_correction(report_id, execution_id, 0, 0, feed_seq=feed_seq, external=external)


def a_correction(
    report_id: str,
    execution_id: str,
    shares: int,
    price_cents: int,
    *,
    feed_seq: int = 2,
    external: str = "x-1",
) -> ExecutionReport:
    """The exchange's report of what an execution really was; of no shares, it is a bust."""
    return ExecutionReport(
        report_id=report_id,
        kind="correction" if shares else "bust",
        external_order_id=external,
        feed_seq=feed_seq,
        symbol="IBM",
        shares=shares,
        price_cents=price_cents,
        cumulative_shares=shares,
        at_ms=1_772_452_800_000,
        execution_id=execution_id,
    )


def an_end(
    status: str, cumulative_shares: int, *, feed_seq: int = 1, external: str = "x-1"
) -> ExecutionReport:
    """The exchange's report that an order left its book."""
    return ExecutionReport(
        report_id=f"end:{external}",
        kind="end",
        external_order_id=external,
        feed_seq=feed_seq,
        symbol="IBM",
        shares=0,
        price_cents=0,
        cumulative_shares=cumulative_shares,
        at_ms=1_772_452_800_000,
        status=status,
        reason=f"exchange-{status}",
    )


def settle(key: OrderKey, *reports: ExecutionReport) -> SettleRequest:
    """The request to book these reports."""
    return SettleRequest(key.order_id, key.user_id, list(reports))


def cancel_of(key: OrderKey) -> CancelRequested:
    """The customer's wish to cancel."""
    return CancelRequested(key.order_id, key.user_id, key.user_id, "")
