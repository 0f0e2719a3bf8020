"""Whose an order is that the exchange alone has: it echoes our account reference.

The reference is derived from the user's id and tells nothing, so users are recognised by it, and
not read from it: those with an account here, and those whom a run in Temporal names.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from brokerage.contracts.ids import account_ref_for
from brokerage.contracts.statements import StatedOrder
from brokerage.storage.openings import (
    DEVELOPMENT_CASH_CENTS,
    DEVELOPMENT_SHARES,
    open_account,
)
from brokerage.storage.pool import Pool
from brokerage.storage.recovery_reads import user_ids


async def owners_of(
    pool: "Pool[Any]", lost: Sequence[StatedOrder], named: Mapping[str, str], *, development: bool
) -> dict[str, str]:
    """The users of these orders, by the order's id; without those who have no account.

    In development an account is opened for whoever asks, so it is opened again for those that
    `named` (users by order id) knows and the backup does not. Raises `DatabaseUnavailable`.
    """
    wanted = {stated.account_ref for stated in lost}
    users: dict[str, str] = {}
    if wanted:
        async for user_id in user_ids(pool):
            if (account_ref := account_ref_for(user_id)) in wanted:
                users[account_ref] = user_id
    for stated in lost if development else ():
        user = named.get(stated.client_order_id)
        if user is None or stated.account_ref in users:
            continue
        if account_ref_for(user) == stated.account_ref:
            # What the shares cost is not known: prices then are not kept.
            await open_account(pool, user, DEVELOPMENT_CASH_CENTS, DEVELOPMENT_SHARES, {})
            users[stated.account_ref] = user
    return {
        stated.client_order_id: users[stated.account_ref]
        for stated in lost
        if stated.account_ref in users
    }
