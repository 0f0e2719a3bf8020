"""The log of order events as it is read: its end, its pages, and the account as it once was.

The counter of a user's events is locked until the transaction that raised it is over, so whoever
sees an event sees all before it. Always from the primary.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import asyncpg

from brokerage.storage.pool import Pool, connection
from brokerage.storage.reads import Portfolio, Position


@dataclass(frozen=True, slots=True)
class OrderEvent:
    """One change of an order: `order` as clients see it right after, `detail` of the change; both
    JSON.
    """

    seq: int
    kind: str
    order: str
    detail: str


@dataclass(frozen=True, slots=True)
class EventsPage:
    """Events, ascending without a gap, and the last one there was in the same moment."""

    events: list[OrderEvent]
    last_seq: int


class SeqAhead(Exception):
    """The log has no such event yet; `last_seq` is its last."""

    def __init__(self, last_seq: int) -> None:
        super().__init__(f"the log ends at {last_seq}")
        self.last_seq = last_seq


class BalancesNotKept(Exception):
    """The event is from before balances were kept with events."""


@dataclass(frozen=True, slots=True)
class PastAccount:
    """A user's balances right after one event, and when that was."""

    portfolio: Portfolio
    at: datetime


_EVENTS: Final = """
    SELECT a.event_seq AS last_seq, e.*
    FROM accounts a LEFT JOIN LATERAL (
        SELECT seq, kind, "order", detail FROM order_events
        WHERE user_id = $1 AND seq > $2 {which} ORDER BY seq LIMIT $3
    ) e ON true
    WHERE a.user_id = $1 ORDER BY e.seq
"""
_EVENTS_OF_ALL: Final = _EVENTS.format(which="")
_EVENTS_OF_ONE: Final = _EVENTS.format(which="AND order_id = $4::uuid")


async def events_after(
    pool: "Pool[asyncpg.Record]", user_id: str, after: int, limit: int, order_id: str | None = None
) -> EventsPage | None:
    """The first `limit` events after `after`, of one order if it is named (then with gaps); None
    without an account.
    """
    async with connection(pool) as database:
        if order_id is None:
            rows = await database.fetch(_EVENTS_OF_ALL, user_id, after, limit)
        else:
            rows = await database.fetch(_EVENTS_OF_ONE, user_id, after, limit, order_id)
    if not rows:
        return None
    events = [
        OrderEvent(row["seq"], row["kind"], row["order"], row["detail"])
        for row in rows
        if row["seq"] is not None
    ]
    return EventsPage(events, rows[0]["last_seq"])


async def last_seqs(pool: "Pool[asyncpg.Record]", user_ids: Sequence[str]) -> dict[str, int]:
    """The last event of each of these users; without those who have no account."""
    async with connection(pool) as database:
        rows = await database.fetch(
            "SELECT user_id, event_seq FROM accounts "
            "JOIN unnest($1::text[]) AS asked (user_id) USING (user_id)",
            user_ids,
        )
    return {row["user_id"]: row["event_seq"] for row in rows}


async def account_after(pool: "Pool[asyncpg.Record]", user_id: str, seq: int) -> PastAccount | None:
    """The account as it was after the user's event `seq`, 0 for its opening; None without one.

    Raises `SeqAhead` or `BalancesNotKept`.
    """
    # No snapshot for the two: what the log says up to an event that is there never changes.
    async with connection(pool) as database:
        account = await database.fetchrow(
            """
            SELECT a.event_seq, coalesce(e.at, a.opened_at) AS at,
                CASE WHEN $2 = 0 THEN coalesce(o.amount, 0) ELSE e.cash_cents END AS cash_cents,
                CASE WHEN $2 = 0 THEN 0 ELSE e.held_cents END AS held_cents
            FROM accounts a
            LEFT JOIN order_events e ON e.user_id = a.user_id AND e.seq = $2::bigint
            LEFT JOIN ledger_entries o ON o.user_id = a.user_id
                AND o.source = 'opening' AND o.account = 'user' AND o.asset = 'USD'
            WHERE a.user_id = $1
            """,
            user_id,
            seq,
        )
        if account is None:
            return None
        if seq > account["event_seq"]:
            raise SeqAhead(account["event_seq"])
        rows = await database.fetch(
            """
            SELECT p.symbol,
                CASE WHEN e.seq IS NULL THEN coalesce(o.amount, 0) ELSE e.position_shares END
                    AS shares,
                CASE WHEN e.seq IS NULL THEN 0 ELSE e.held_shares END AS held_shares
            FROM positions p
            LEFT JOIN LATERAL (
                SELECT seq, position_shares, held_shares FROM order_events
                WHERE user_id = $1 AND symbol = p.symbol AND seq <= $2
                ORDER BY seq DESC LIMIT 1
            ) e ON true
            LEFT JOIN ledger_entries o ON o.user_id = $1
                AND o.source = 'opening' AND o.account = 'user' AND o.asset = p.symbol
            WHERE p.user_id = $1 ORDER BY p.symbol
            """,
            user_id,
            seq,
        )
    if account["cash_cents"] is None or any(row["shares"] is None for row in rows):
        raise BalancesNotKept
    positions = [
        Position(row["symbol"], row["shares"], row["held_shares"]) for row in rows if row["shares"]
    ]
    return PastAccount(
        Portfolio(account["cash_cents"], account["held_cents"], positions, seq), account["at"]
    )
