"""Cents at risk by cause: what may still go wrong, at its worst, or at the last price."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from brokerage.domain.ledger import CASH


@dataclass(frozen=True, slots=True)
class Exposure:
    """What is at risk for one cause. `cents` is never below zero, and None where a symbol that it
    counts has no price; `cash_cents` is what was paid (below zero) or taken in for it already.
    `is_complete` is false where more lies there than was looked at.
    """

    cause: str
    count: int
    cents: int | None
    oldest_at: datetime | None
    cash_cents: int = 0
    is_complete: bool = True


@dataclass(frozen=True, slots=True)
class Posted:
    """What the error account holds for one cause of one asset: cents of `USD`, else shares."""

    cause: str
    asset: str
    amount: int
    count: int
    oldest_at: datetime


def error_exposures(posted: Iterable[Posted], prices: Mapping[str, int]) -> list[Exposure]:
    """The error account's open positions at the last price, either way, by cause."""
    by_cause: defaultdict[str, list[Posted]] = defaultdict(list)
    for one in posted:
        by_cause[one.cause].append(one)
    return [_error_exposure(cause, by_cause[cause], prices) for cause in sorted(by_cause)]


def _error_exposure(cause: str, posted: list[Posted], prices: Mapping[str, int]) -> Exposure:
    held = [one for one in posted if one.asset != CASH and one.amount]
    priced = all(one.asset in prices for one in held)
    return Exposure(
        cause=cause,
        count=max(one.count for one in posted),
        cents=sum(abs(one.amount) * prices[one.asset] for one in held) if priced else None,
        oldest_at=min(one.oldest_at for one in posted),
        cash_cents=sum(one.amount for one in posted if one.asset == CASH),
    )


def total_cents(exposures: Iterable[Exposure]) -> int | None:
    """All of it together; None where a part is not known."""
    cents = [one.cents for one in exposures]
    known = [one for one in cents if one is not None]
    return sum(known) if len(known) == len(cents) else None
