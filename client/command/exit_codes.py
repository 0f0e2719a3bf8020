"""What the command's exit code says."""

from enum import IntEnum
from typing import Final

from client.errors import (
    NotAuthorised,
    NotFound,
    OutcomeUnknown,
    RateLimited,
    Refused,
    SherwoodError,
    Unavailable,
    Unreachable,
)
from client.models import Order


class ExitCode(IntEnum):
    """Stable: scripts branch on it."""

    OK = 0
    UNEXPECTED = 1
    USAGE = 2
    REFUSED = 3
    NOT_FOUND = 4
    NOT_AUTHORISED = 5
    OUTCOME_UNKNOWN = 6
    UNAVAILABLE = 7
    RATE_LIMITED = 8


MEANINGS: Final[dict[ExitCode, str]] = {
    ExitCode.OK: "done",
    ExitCode.UNEXPECTED: "something unexpected",
    ExitCode.USAGE: "wrong usage; nothing was sent",
    ExitCode.REFUSED: "refused by the broker or the exchange",
    ExitCode.NOT_FOUND: "no such order or symbol",
    ExitCode.NOT_AUTHORISED: "no token, or not a good one",
    ExitCode.OUTCOME_UNKNOWN: "the outcome is not known yet; ask again, or repeat with its --key",
    ExitCode.UNAVAILABLE: "unreachable, or not now",
    ExitCode.RATE_LIMITED: "too many requests",
}

_BY_KIND: Final[dict[type[SherwoodError], ExitCode]] = {
    Unreachable: ExitCode.UNAVAILABLE,
    Unavailable: ExitCode.UNAVAILABLE,
    OutcomeUnknown: ExitCode.OUTCOME_UNKNOWN,
    Refused: ExitCode.REFUSED,
    NotFound: ExitCode.NOT_FOUND,
    NotAuthorised: ExitCode.NOT_AUTHORISED,
    RateLimited: ExitCode.RATE_LIMITED,
}


def exit_code_of(error: SherwoodError) -> ExitCode:
    """Return the exit code for an error; UNEXPECTED for all that nobody should have to handle."""
    return _BY_KIND.get(type(error), ExitCode.UNEXPECTED)


def exit_code_of_placed(order: Order) -> ExitCode:
    """Return the exit code for a placement that was answered with `order`."""
    if order.placement_is_unknown:
        return ExitCode.OUTCOME_UNKNOWN
    return ExitCode.REFUSED if order.status in {"rejected", "failed"} else ExitCode.OK


def exit_code_of_cancelled(order: Order) -> ExitCode:
    """Return the exit code for a cancel that was answered with `order`."""
    if order.status == "cancelled":
        return ExitCode.OK
    if order.cancel_is_unknown:
        return ExitCode.OUTCOME_UNKNOWN
    return ExitCode.REFUSED
