"""The users' dead-man switches: armed by them, seen to by whichever worker finds one due."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg

from brokerage.domain.orders import Order
from brokerage.domain.states import OPEN, OrderStatus
from brokerage.storage.pool import Pool, connection
from brokerage.storage.rows import ORDER_COLUMNS, order_from


@dataclass(frozen=True, slots=True)
class CancelAfter:
    """A user's switch; not armed: `cancels_at` is None. `went_off_at` is the last time it did."""

    seconds: int
    armed_at: datetime
    address: str
    cancels_at: datetime | None
    went_off_at: datetime | None


@dataclass(frozen=True, slots=True)
class WentOff:
    """A switch that went off at `at`: the user's orders from before then are to go.

    `settled`: so long ago that no order from before can appear any more.
    """

    user_id: str
    at: datetime
    address: str
    settled: bool


_COLUMNS = "seconds, armed_at, address, cancels_at, went_off_at"


async def arm(
    pool: "Pool[asyncpg.Record]", user_id: str, seconds: int, address: str
) -> CancelAfter | None:
    """Have the user's orders cancelled in so many seconds, unless armed anew; 0 disarms.

    What has gone off already goes on. None: there is no such account.
    """
    async with connection(pool) as database:
        row = await database.fetchrow(
            f"""
            INSERT INTO cancel_after AS c (user_id, seconds, armed_at, address, cancels_at, look_at)
            SELECT user_id, $2, now(), $3, due, due FROM accounts, LATERAL (
                SELECT CASE WHEN $2 > 0 THEN now() + make_interval(secs => $2) END AS due
            ) AS at
            WHERE user_id = $1
            ON CONFLICT (user_id) DO UPDATE SET
                seconds = EXCLUDED.seconds, armed_at = EXCLUDED.armed_at,
                address = EXCLUDED.address, cancels_at = EXCLUDED.cancels_at,
                look_at = CASE WHEN c.cancelling THEN c.look_at ELSE EXCLUDED.look_at END
            RETURNING {_COLUMNS}
            """,  # noqa: S608 - columns are a constant
            user_id,
            seconds,
            address,
        )
    return CancelAfter(**row) if row else None


async def read(pool: "Pool[asyncpg.Record]", user_id: str) -> CancelAfter | None:
    """The user's switch, None if it was never armed."""
    async with connection(pool) as database:
        row = await database.fetchrow(
            f"SELECT {_COLUMNS} FROM cancel_after WHERE user_id = $1",  # noqa: S608 - a constant
            user_id,
        )
    return CancelAfter(**row) if row else None


async def take_due(
    pool: "Pool[asyncpg.Record]", *, limit: int, again: timedelta, settled: timedelta
) -> list[WentOff]:
    """The switches that have gone off and are not seen to; nobody else gets them before `again`."""
    async with connection(pool) as database:
        rows = await database.fetch(
            """
            UPDATE cancel_after SET
                cancelling = true,
                went_off_at = CASE WHEN cancels_at <= now() THEN now() ELSE went_off_at END,
                cancels_at = CASE WHEN cancels_at <= now() THEN NULL ELSE cancels_at END,
                look_at = now() + $2
            WHERE user_id IN (
                SELECT user_id FROM cancel_after WHERE look_at <= now()
                ORDER BY look_at LIMIT $1 FOR UPDATE SKIP LOCKED
            )
            RETURNING user_id, went_off_at AS at, address, went_off_at + $3 < now() AS settled
            """,
            limit,
            again,
            settled,
        )
    return [WentOff(**row) for row in rows]


async def orders_to_cancel(
    pool: "Pool[asyncpg.Record]", went_off: WentOff, *, limit: int
) -> list[Order]:
    """The user's orders from before it went off that nobody has asked the exchange to end."""
    async with connection(pool) as database:
        rows: Sequence[asyncpg.Record] = await database.fetch(
            f"""
            SELECT {ORDER_COLUMNS} FROM orders
            WHERE user_id = $1 AND status = ANY ($2) AND created_at <= $3
            ORDER BY updated_at LIMIT $4
            """,  # noqa: S608 - columns are a constant
            went_off.user_id,
            sorted(OPEN - {OrderStatus.PENDING_CANCEL}),
            went_off.at,
            limit,
        )
    return [order_from(row) for row in rows]


async def finish(pool: "Pool[asyncpg.Record]", went_off: WentOff) -> None:
    """Nothing is left to cancel of it; where it was armed anew meanwhile, that counts now."""
    async with connection(pool) as database:
        await database.execute(
            "UPDATE cancel_after SET cancelling = false, look_at = cancels_at "
            "WHERE user_id = $1 AND went_off_at = $2",
            went_off.user_id,
            went_off.at,
        )
