"""Everything that can move the exchange, as it is journaled; and what came of it.

An input is applied at a market position and with a wall time, both journaled beside it: that is
all the engine ever learns of clocks.
"""

import msgspec

from exchange.protocol import (
    Cancellation,
    CancelReply,
    MassCancellation,
    MassCancelReply,
    MemberMessage,
    Placement,
    PlacementReply,
)


class Place(msgspec.Struct, frozen=True, tag="place", omit_defaults=True):
    """A placement, with what sessions and fault rules add to it.

    `refuse_reason`: refuse it if it is new, with `refuse_code`. `hold_until_ms`: accept, but keep
    it from the book until a `Release`. `first_fill_shares`: the most it may trade at once, on
    arrival.
    """

    placement: Placement
    market_closed: bool = False
    refuse_reason: str | None = None
    hold_until_ms: int = 0
    first_fill_shares: int | None = None
    refuse_code: str = "refused"


class Cancel(msgspec.Struct, frozen=True, tag="cancel", omit_defaults=True):
    """A cancel; `refuse_reason` keeps a live order on the book."""

    cancellation: Cancellation
    refuse_reason: str | None = None


class CancelAll(msgspec.Struct, frozen=True, tag="cancel-all"):
    """A mass cancel."""

    selection: MassCancellation


class Advance(msgspec.Struct, frozen=True, tag="advance"):
    """The market went on to the position of this entry, and prints reached members' orders."""


class Release(msgspec.Struct, frozen=True, tag="release"):
    """A held order comes to the book."""

    order_number: int


class Halt(msgspec.Struct, frozen=True, tag="halt"):
    """Trading in a symbol stops (`halted`), or goes on."""

    symbol: str
    halted: bool


class BustExecution(msgspec.Struct, frozen=True, tag="bust"):
    """Declare that an execution never happened."""

    execution_id: str


class CorrectExecution(msgspec.Struct, frozen=True, tag="correct"):
    """Replace an execution's price and shares."""

    execution_id: str
    price_cents: int
    shares: int


class ExecuteOrder(msgspec.Struct, frozen=True, tag="execute"):
    """Execute an order by hand, whatever is left of it and even if it has ended."""

    order_id: str
    price_cents: int
    shares: int


class EndOrder(msgspec.Struct, frozen=True, tag="end"):
    """Take a live order off the book without its member asking."""

    order_id: str
    expired: bool
    reason: str


class EndDay(msgspec.Struct, frozen=True, tag="end-day"):
    """The trading day ends: `day` orders placed before the cutoff expire."""

    cutoff_ms: int


Input = (
    Place
    | Cancel
    | CancelAll
    | Advance
    | Release
    | Halt
    | BustExecution
    | CorrectExecution
    | ExecuteOrder
    | EndOrder
    | EndDay
)


class ControlReply(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What became of a control input; `code` and `reason` when it could not be done."""

    done: bool
    code: str | None = None
    reason: str | None = None
    id: str | None = None


Reply = PlacementReply | CancelReply | MassCancelReply | ControlReply


class Outcome(msgspec.Struct, frozen=True, rename="camel"):
    """All that came of one input; recorded beside it, and what a replay must reproduce.

    `prints_checksum` runs over every print of the market so far, so equal outcomes mean that the
    market was the same too.
    """

    input: int
    position: int
    at_ms: int
    trade_seq: int
    prints_checksum: int
    reply: Reply | None
    messages: list[tuple[str, MemberMessage]]


class Entry(msgspec.Struct, frozen=True):
    """One line of the journal: an input, whose it is, and where and when it was applied."""

    number: int
    position: int
    at_ms: int
    member: str
    input: Input
