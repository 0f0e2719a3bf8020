"""The trails of orders as they are stored, to be shown and to be verified.

For operators and auditors; every read is one moment, and of a bounded number of orders.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import asyncpg

from brokerage.domain.trail import (
    EVENTS,
    NOTES,
    ORDERS,
    ActsCheck,
    OrderTrail,
    Row,
    Tampered,
    source_of,
    tampered_rows,
)
from brokerage.storage.pool import Connection, Pool, connection, long_read

READ_SECONDS: Final = 20.0
ACTS_TOGETHER: Final = 1_000
FIRST: Final = ("", "00000000-0000-0000-0000-000000000000")


@dataclass(frozen=True, slots=True)
class Verified:
    """What a verification of some orders found. `last` is the last of them, to go on after; None
    when there are no more.
    """

    orders: int
    tampered: tuple[Tampered, ...]
    last: tuple[str, str] | None


@dataclass(frozen=True, slots=True)
class OwnEvent:
    """One change of an order; `order` as clients see it right after, `detail` of it; both JSON."""

    seq: int
    version: int
    kind: str
    order: str
    detail: str
    at: datetime
    actor: str
    address: str


async def own_events(
    pool: "Pool[asyncpg.Record]", user_id: str, order_id: str, after: int, limit: int
) -> list[OwnEvent] | None:
    """The first `limit` changes of a user's own order after version `after`; None without one."""
    async with connection(pool) as database:
        rows = await database.fetch(
            """
            SELECT e.* FROM orders o LEFT JOIN LATERAL (
                SELECT seq, version, kind, "order", detail, at, actor, address FROM order_events
                WHERE user_id = $1 AND order_id = $2 AND version > $3 ORDER BY version LIMIT $4
            ) e ON true
            WHERE o.user_id = $1 AND o.order_id = $2 ORDER BY e.version
            """,
            user_id,
            order_id,
            after,
            limit,
        )
    if not rows:
        return None
    return [OwnEvent(**row) for row in rows if row["seq"] is not None]


async def order_trail(pool: "Pool[asyncpg.Record]", order_id: str) -> OrderTrail | None:
    """The trail of an order, whoever's it is; None if there is no such order."""
    async with long_read(pool, READ_SECONDS, one_moment=True) as database:
        user_id = await database.fetchval(
            "SELECT user_id FROM order_routes WHERE order_id = $1", order_id
        )
        if user_id is None:
            return None
        trails = await trails_of(database, [user_id], [order_id])
    return trails[0] if trails else None


async def verify_orders(
    pool: "Pool[asyncpg.Record]", after: tuple[str, str] = FIRST, *, limit: int
) -> Verified:
    """Verify the `limit` orders after the order `after` (user and order id)."""
    async with long_read(pool, READ_SECONDS, one_moment=True) as database:
        rows = await database.fetch(
            "SELECT user_id, order_id FROM orders WHERE (user_id, order_id) > ($1, $2::uuid) "
            "ORDER BY user_id, order_id LIMIT $3",
            *after,
            limit,
        )
        trails = await trails_of(
            database, [row["user_id"] for row in rows], [row["order_id"] for row in rows]
        )
    tampered = tuple(found for trail in trails for found in tampered_rows(trail))
    last = (rows[-1]["user_id"], str(rows[-1]["order_id"])) if len(rows) == limit else None
    return Verified(len(rows), tampered, last)


async def verify_acts(database: "Connection[asyncpg.Record]") -> list[Tampered]:
    """Verify all acts of operators; in a transaction that sees one moment."""
    check, after = ActsCheck(), 0
    while True:
        acts = await database.fetch(
            "SELECT * FROM operator_acts WHERE act_id > $1 ORDER BY act_id LIMIT $2",
            after,
            ACTS_TOGETHER,
        )
        if not acts:
            break
        check.look_at(dict(act) for act in acts)
        after = acts[-1]["act_id"]
    end = await database.fetchrow("SELECT act_id, hash FROM operator_acts_end")
    if end is not None:
        check.end(end["act_id"], end["hash"])
    return check.found


async def tampered_anywhere(pool: "Pool[asyncpg.Record]", batch: int = 200) -> list[Tampered]:
    """Every row of every trail that is not as it was written, orders first, then acts."""
    found: list[Tampered] = []
    after: tuple[str, str] | None = FIRST
    while after is not None:
        verified = await verify_orders(pool, after, limit=batch)
        found += verified.tampered
        after = verified.last
    async with long_read(pool, READ_SECONDS, one_moment=True) as database:
        return found + await verify_acts(database)


async def trails_of(
    database: "Connection[asyncpg.Record]", user_ids: Sequence[str], order_ids: Sequence[str]
) -> list[OrderTrail]:
    """The trails of these orders. What names one of them, and what one of them names, is read: a
    row that was changed may do only either.
    """

    async def rows(statement: str, *values: object) -> list[Row]:
        return [dict(row) for row in await database.fetch(statement, *values)]

    orders, events, notes = [
        await rows(
            f"SELECT t.* FROM {table} t "  # noqa: S608 - tables are constants
            "JOIN unnest($1::text[], $2::uuid[]) AS asked (user_id, order_id) "
            "USING (user_id, order_id) ORDER BY user_id, order_id",
            user_ids,
            order_ids,
        )
        for table in (ORDERS, EVENTS, NOTES)
    ]
    claims = {source_of(row): row["order_id"] for row in (*notes, *events)}
    reports = await rows(
        "SELECT * FROM execution_reports WHERE order_id = ANY ($1::uuid[]) OR report_id = ANY ($2)",
        order_ids,
        list(claims),
    )
    entries = await rows(
        "SELECT * FROM ledger_entries WHERE user_id = ANY ($1) "
        "AND (order_id = ANY ($2::uuid[]) OR source = ANY ($3))",
        user_ids,
        order_ids,
        list(claims),
    )
    of_order = [
        _by_order(events, claims, source=None),
        _by_order(notes, claims, source=None),
        _by_order(reports, claims, source="report_id"),
        _by_order(entries, claims, source="source"),
    ]
    return [OrderTrail(order, *(rows[order["order_id"]] for rows in of_order)) for order in orders]


def _by_order(
    rows: Sequence[Row], claims: Mapping[str, object], *, source: str | None
) -> Mapping[object, list[Row]]:
    """The rows of each order: of the one that claims them, else of the one they name."""
    found: dict[object, list[Row]] = defaultdict(list)
    for row in rows:
        claimed_by = claims.get(row[source]) if source else None
        found[claimed_by or row["order_id"]].append(row)
    return found
