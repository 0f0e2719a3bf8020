"""The limits that operators set: what each is about, whose it may be, and what is sane."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Subject(StrEnum):
    """Whose own value a limit may have beside everybody's."""

    USER = "user"
    SYMBOL = "symbol"


@dataclass(frozen=True, slots=True)
class LimitKind:
    """What may be set: a whole number from `minimum` to `maximum`, for everybody or one `subject`.

    Nothing can be taken where the limit is zero: a symbol without buys, a user without orders.
    """

    subject: Subject | None
    minimum: int
    maximum: int


_SHARES_MAX: Final = 1_000_000_000
_CENTS_MAX: Final = 10**15
_PER_SECOND_MAX: Final = 1_000_000

LIMITS: Final[Mapping[str, LimitKind]] = {
    "order-shares": LimitKind(Subject.USER, 0, _SHARES_MAX),
    "order-notional-cents": LimitKind(Subject.USER, 0, _CENTS_MAX),
    "position-shares": LimitKind(Subject.SYMBOL, 0, _SHARES_MAX),
    "user-orders-per-second": LimitKind(Subject.USER, 0, _PER_SECOND_MAX),
    "user-orders-burst": LimitKind(Subject.USER, 1, _PER_SECOND_MAX),
    "symbol-orders-per-second": LimitKind(Subject.SYMBOL, 0, _PER_SECOND_MAX),
    "global-orders-per-second": LimitKind(None, 0, _PER_SECOND_MAX),
}
"""By name, as in the table `limits`."""
