"""An order beside what traded in its symbol while it stood in the exchange's book."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import asyncpg

from brokerage.domain.orders import Order, Side
from brokerage.domain.why import Traded
from brokerage.storage.bar_reads import FAR_AHEAD, INTERVALS, Interval
from brokerage.storage.pool import Pool, connection
from brokerage.storage.rows import ORDER_COLUMNS, order_from


@dataclass(frozen=True, slots=True)
class OrderInMarket:
    """An order, its last fill by the exchange's clock, and what traded since it was sent.

    `traded` is made of bars of `interval` that begin at or after the order was sent; all trades up
    to `until` are in them, None where nobody ever wrote a bar.
    """

    order: Order
    last_fill_at: datetime | None
    interval: str
    until: datetime | None
    traded: Traded


_ORDER: Final = f"""
SELECT {ORDER_COLUMNS}, (
    SELECT max(reported_at) FROM execution_reports AS report
    WHERE report.order_id = placed.order_id AND report.kind = 'fill'
) AS last_fill_at
FROM orders AS placed WHERE user_id = $1 AND order_id = $2
"""  # noqa: S608 - columns are a constant

_TRADED: Final = """
SELECT {best}({price}),
    coalesce(sum(volume) FILTER (WHERE {price} {reaches} $4), 0)::bigint,
    coalesce(sum(volume) FILTER (WHERE {price} {reaches} $4 AND start >= $5), 0)::bigint
FROM {table} WHERE symbol = $1 AND start >= $2 AND start <= $3
"""
_FOR: Final = {
    Side.BUY: {"best": "min", "price": "low_cents", "reaches": "<="},
    Side.SELL: {"best": "max", "price": "high_cents", "reaches": ">="},
}


async def order_in_market(
    pool: "Pool[asyncpg.Record]", user_id: str, order_id: str, now: datetime
) -> OrderInMarket | None:
    """The user's order of one moment, or None: another user's order looks exactly like none.

    The shortest bars that are still kept for all of the order's time are read. Raises
    `DatabaseUnavailable`.
    """
    async with (
        connection(pool) as database,
        database.transaction(isolation="repeatable_read", readonly=True),
    ):
        row = await database.fetchrow(_ORDER, user_id, order_id)
        if row is None:
            return None
        order, last_fill_at = order_from(row), row["last_fill_at"]
        name, interval = _kept_since(order.created_at, now)
        ended_at = FAR_AHEAD if order.is_open else order.updated_at
        (traded,) = await database.fetch(
            _TRADED.format(table=interval.table, **_FOR[order.side]),
            order.symbol,
            order.created_at,
            ended_at - interval.length,
            order.price_cents,
            max(order.created_at, last_fill_at or order.created_at),
        )
        until = await database.fetchval("SELECT max(traded_at) FROM bar_progress")
    return OrderInMarket(order, last_fill_at, name, until, Traded(*traded))


def _kept_since(at: datetime, now: datetime) -> tuple[str, Interval]:
    for name in ("1s", "1m"):
        if at >= INTERVALS[name].kept_from(now):
            return name, INTERVALS[name]
    return "1d", INTERVALS["1d"]
