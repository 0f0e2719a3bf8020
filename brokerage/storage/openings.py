"""Opening accounts."""

from collections.abc import Mapping

import asyncpg

from brokerage.domain.ledger import opening_postings
from brokerage.storage.pool import Pool, connection


async def open_account(
    pool: "Pool[asyncpg.Record]",
    user_id: str,
    cash_cents: int,
    shares: Mapping[str, int],
    last_prices_cents: Mapping[str, int],
) -> bool:
    """Open an account with an endowment; False if the user has one already, which stays as it is.

    The shares' cost basis is what they are worth at the last prices (by symbol); that of a symbol
    without one stays unknown.

    Development only: a production account is opened by a process of its own, after checks that are
    not ours.
    """
    postings = opening_postings(cash_cents, shares, last_prices_cents)
    async with connection(pool) as database, database.transaction():
        opened = await database.fetchval(
            "INSERT INTO accounts (user_id, cash_cents) VALUES ($1, $2) "
            "ON CONFLICT DO NOTHING RETURNING true",
            user_id,
            cash_cents,
        )
        if not opened:
            return False
        await database.execute(
            "INSERT INTO positions (user_id, symbol, shares) "
            "SELECT $1, * FROM unnest($2::text[], $3::bigint[])",
            user_id,
            list(shares),
            list(shares.values()),
        )
        await database.execute(
            "INSERT INTO ledger_entries "
            "(user_id, source, leg, account, asset, amount, cost_cents, booked_at) "
            "SELECT $1, 'opening', leg, account, asset, amount, cost_cents, now() "
            "FROM unnest($2::text[], $3::text[], $4::bigint[], $5::bigint[]) "
            "WITH ORDINALITY AS posting (account, asset, amount, cost_cents, leg)",
            user_id,
            [posting.account.value for posting in postings],
            [posting.asset for posting in postings],
            [posting.amount for posting in postings],
            [posting.cost_cents for posting in postings],
        )
    return True


DEVELOPMENT_CASH_CENTS = 100_000_00
DEVELOPMENT_SHARES: Mapping[str, int] = {"SPY": 100, "IBM": 100, "AIG": 200, "BAC": 1_000}
"""What a development account starts with: the symbols of the recorded tape, so that a newcomer can
sell as well as buy."""
