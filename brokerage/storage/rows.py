"""Rows as domain values."""

import asyncpg

from brokerage.domain.booking import Books
from brokerage.domain.orders import Order, OrderStatus, OrderType, Outcome, Side, TimeInForce
from brokerage.domain.risk import AccountState, Caps, OwnOrder, Standing

ORDER_COLUMNS = (
    "order_id, user_id, symbol, side, order_type, time_in_force, shares, limit_price_cents, "
    "price_cents, send_by, created_at, updated_at, status, outcome, filled_shares, "
    "filled_notional_cents, executed_shares, matched_shares, final_shares, end_status, "
    "external_order_id, reason, version"
)


def order_from(row: asyncpg.Record) -> Order:
    """An order from its row."""
    return Order(
        order_id=str(row["order_id"]),
        user_id=row["user_id"],
        symbol=row["symbol"],
        side=Side(row["side"]),
        order_type=OrderType(row["order_type"]),
        time_in_force=TimeInForce(row["time_in_force"]),
        shares=row["shares"],
        limit_price_cents=row["limit_price_cents"],
        price_cents=row["price_cents"],
        send_by=row["send_by"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        status=OrderStatus(row["status"]),
        outcome=Outcome(row["outcome"]),
        filled_shares=row["filled_shares"],
        filled_notional_cents=row["filled_notional_cents"],
        executed_shares=row["executed_shares"],
        matched_shares=row["matched_shares"],
        final_shares=row["final_shares"],
        end_status=OrderStatus(row["end_status"]) if row["end_status"] else None,
        external_order_id=row["external_order_id"],
        reason=row["reason"],
        version=row["version"],
    )


def books_from(row: asyncpg.Record) -> Books:
    """The balances of a user, and of one symbol and order, from a row that has them all."""
    return Books(
        cash_cents=row["cash_cents"],
        held_cents=row["held_cents"],
        position_shares=row["position_shares"],
        held_shares=row["held_shares"],
        hold_shares=row["hold_shares"],
    )


def standing_from(row: asyncpg.Record, side: Side) -> Standing:
    """What counts for a new order of `side`, from a row with the account's state and standing."""
    found = row["standing"]
    opposing = None
    if found["opposing_order"] is not None:
        opposing = OwnOrder(
            str(found["opposing_order"]),
            Side.SELL if side is Side.BUY else Side.BUY,
            found["opposing_price_cents"],
            OrderStatus(found["opposing_status"]),
        )
    return Standing(
        AccountState(row["state"]),
        Caps(
            found["order_shares_max"],
            found["order_notional_cents_max"],
            found["position_shares_max"],
        ),
        found["incoming_shares"],
        opposing,
    )
