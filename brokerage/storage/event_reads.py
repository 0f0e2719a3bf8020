"""The log of order events as it is read: who may see how far, in pages, and the account of old.

The counter of a user's events is locked until the transaction that raised it is over, so whoever
sees an event sees all before it. Always from the primary.
"""

from dataclasses import dataclass
from datetime import datetime

import asyncpg

from brokerage.storage.pool import Pool, connection
from brokerage.storage.reads import Portfolio, Position


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
