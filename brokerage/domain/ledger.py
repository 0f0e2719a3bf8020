"""The double-entry ledger: what is posted when money or shares move.

A transaction is a set of postings that sum to zero in every asset. Cash is an asset (cents), and so
is each symbol (shares). Accounts: the user's own, the clearing account (our side of what the
exchange owes and is owed), the opening account (where a new account's endowment comes from) and the
error account (what the firm bears, each posting with its cause).
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
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


class ErrorCause(StrEnum):
    """Why the firm bears what it does."""

    OVERFILL = "overfill"
    PRICE_WORSE_THAN_LIMIT = "price-worse-than-limit"
    UNCOVERED_LATE_FILL = "uncovered-late-fill"
    LATE_FILL_AFTER_REJECT = "late-fill-after-reject"
    UNCOVERED_BUST = "uncovered-bust"
    UNCOVERED_CORRECTION = "uncovered-correction"


@dataclass(frozen=True, slots=True)
class Posting:
    """One leg: `amount` (cents or shares) added to an account's balance of `asset`.

    `cost_cents` is what shares cost that no order brought, signed like `amount`; None: unknown.
    `cause` is why it is the error account's, and None for every other account.
    """

    account: LedgerAccount
    asset: str
    amount: int
    cost_cents: int | None = None
    cause: ErrorCause | None = None


def price_improvement_cents(side: Side, shares: int, cents: int, sent_price_cents: int) -> int:
    """How much better `shares` for `cents` in all are than at the price the order was sent with.

    That price is the customer's limit, or the collar of a market order; so it is never below zero.
    """
    return _sign(side) * (shares * sent_price_cents - cents)


@dataclass(frozen=True, slots=True)
class Borne:
    """A part of an execution that is the firm's: shares, and what they cost; as the order trades.

    Below zero where the customer has more of it than was executed, and the firm owes the rest.
    """

    cause: ErrorCause
    shares: int
    cents: int


@dataclass(frozen=True, slots=True)
class Allocation:
    """Whose an execution is: the customer's `shares` at `cents` in all, and what the firm bears."""

    shares: int = 0
    cents: int = 0
    borne: tuple[Borne, ...] = ()

    @property
    def executed_shares(self) -> int:
        """The whole of it."""
        return self.shares + sum(part.shares for part in self.borne)

    @property
    def executed_cents(self) -> int:
        """What the whole of it cost at the exchange."""
        return self.cents + sum(part.cents for part in self.borne)


def charged_price_cents(side: Side, price_cents: int, limit_cents: int) -> int:
    """The price the customer pays or gets: the execution's, but never worse than the limit."""
    return min(price_cents, limit_cents) if side is Side.BUY else max(price_cents, limit_cents)


def allocate(
    side: Side, shares: int, booked: int, price_cents: int, limit_cents: int, *rest: Borne
) -> Allocation:
    """The allocation of `shares` executed at `price_cents`, `booked` of them the customer's.

    The firm bears the part of a price that is worse than the limit, and `rest`, the other shares.
    """
    charged = charged_price_cents(side, price_cents, limit_cents)
    worse = Borne(ErrorCause.PRICE_WORSE_THAN_LIMIT, 0, booked * (price_cents - charged))
    borne = tuple(part for part in (worse, *rest) if part.shares or part.cents)
    return Allocation(booked, booked * charged, borne)


def allocation_postings(side: Side, symbol: str, allocation: Allocation) -> tuple[Posting, ...]:
    """The postings that bring an allocation about."""
    sign = _sign(side)
    shares, cents = allocation.executed_shares, allocation.executed_cents
    legs = [
        Posting(LedgerAccount.USER, CASH, -sign * allocation.cents),
        Posting(LedgerAccount.USER, symbol, sign * allocation.shares),
        Posting(LedgerAccount.CLEARING, CASH, sign * cents),
        Posting(LedgerAccount.CLEARING, symbol, -sign * shares),
    ]
    for part in allocation.borne:
        legs += (
            Posting(LedgerAccount.ERROR, CASH, -sign * part.cents, cause=part.cause),
            Posting(LedgerAccount.ERROR, symbol, sign * part.shares, cause=part.cause),
        )
    return tuple(leg for leg in legs if leg.amount)


def allocation_of(side: Side, postings: Iterable[Posting]) -> Allocation:
    """The allocation that these postings add up to: how an execution stands."""
    sign = _sign(side)
    cents: Counter[ErrorCause | None] = Counter()
    shares: Counter[ErrorCause | None] = Counter()
    for leg in postings:
        if leg.account is LedgerAccount.CLEARING:
            continue
        if leg.asset == CASH:
            cents[leg.cause] -= sign * leg.amount
        else:
            shares[leg.cause] += sign * leg.amount
    parts = (Borne(cause, shares[cause], cents[cause]) for cause in ErrorCause)
    borne = tuple(part for part in parts if part.shares or part.cents)
    return Allocation(shares[None], cents[None], borne)


def reversed_postings(postings: Iterable[Posting]) -> tuple[Posting, ...]:
    """What takes them back, each leg where it was booked."""
    return tuple(replace(leg, amount=-leg.amount) for leg in postings)


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


def _sign(side: Side) -> int:
    return 1 if side is Side.BUY else -1
