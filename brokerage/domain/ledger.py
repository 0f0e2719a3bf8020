"""The double-entry ledger: what is posted when money or shares move.

A transaction is a set of postings that sum to zero in every asset. Cash is an asset (cents), and so
is each symbol (shares). Accounts: the user's own, the clearing account (our side of what the
exchange owes and is owed), the opening account (where a new account's endowment comes from) and the
error account (what the firm bears: see `execution_postings`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from brokerage.domain.orders import Side

CASH: Final = "USD"


class LedgerAccount(StrEnum):
    """Whose side a posting is on. The user of a `user` posting is the transaction's."""

    USER = "user"
    CLEARING = "clearing"
    OPENING = "opening"
    ERROR = "error"
    SUSPENSE = "suspense"


@dataclass(frozen=True, slots=True)
class Posting:
    """One leg: `amount` (cents or shares) added to an account's balance of `asset`.

    `cost_cents` is what shares cost that no order brought, signed like `amount`; None: unknown.
    """

    account: LedgerAccount
    asset: str
    amount: int
    cost_cents: int | None = None


def charged_price_cents(side: Side, price_cents: int, limit_cents: int) -> int:
    """The price the customer pays or gets: the execution's, but never worse than the limit."""
    return min(price_cents, limit_cents) if side is Side.BUY else max(price_cents, limit_cents)


def execution_postings(
    side: Side, symbol: str, shares: int, booked: int, price_cents: int, limit_cents: int
) -> tuple[Posting, ...]:
    """The postings of one execution of `shares`, of which `booked` are the customer's.

    The error account bears what the customer must not: shares beyond `booked`, and the part of a
    price that is worse than the limit.
    """
    sign = 1 if side is Side.BUY else -1
    notional = sign * shares * price_cents
    charged = sign * booked * charged_price_cents(side, price_cents, limit_cents)
    legs = (
        Posting(LedgerAccount.USER, CASH, -charged),
        Posting(LedgerAccount.ERROR, CASH, charged - notional),
        Posting(LedgerAccount.CLEARING, CASH, notional),
        Posting(LedgerAccount.USER, symbol, sign * booked),
        Posting(LedgerAccount.ERROR, symbol, sign * (shares - booked)),
        Posting(LedgerAccount.CLEARING, symbol, -sign * shares),
    )
    return tuple(leg for leg in legs if leg.amount)


def opening_postings(
    cash_cents: int, shares: Mapping[str, int], last_prices_cents: Mapping[str, int]
) -> tuple[Posting, ...]:
    """The endowment of a new account, against the opening account.

    Its shares cost what they are worth at the last prices (by symbol; a missing one is unknown).
    """
    postings: list[Posting] = []
    for asset, amount in {CASH: cash_cents, **shares}.items():
        price = None if asset == CASH else last_prices_cents.get(asset)
        cost = None if price is None else amount * price
        postings += (
            Posting(LedgerAccount.USER, asset, amount, cost),
            Posting(LedgerAccount.OPENING, asset, -amount, None if cost is None else -cost),
        )
    return tuple(postings)


def user_amount(postings: Iterable[Posting], asset: str) -> int:
    """What the postings add to the user's balance of `asset`."""
    return sum(
        posting.amount
        for posting in postings
        if posting.account is LedgerAccount.USER and posting.asset == asset
    )
