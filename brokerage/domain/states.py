"""Where an order can stand, what can happen to it, and what then becomes of its status: as data.

`TRANSITIONS` is the whole of it. `brokerage/domain/orders.py` says which event something is, by the
order's numbers; no other code decides a status. The page `docs/states.md` is the same table, and a
test compares them.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class OrderStatus(StrEnum):
    """Where an order stands."""

    PENDING = "pending"
    SUBMITTED = "submitted"
    PARTIALLY_FILLED = "partially_filled"
    PENDING_CANCEL = "pending_cancel"
    FILLED = "filled"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    REJECTED = "rejected"
    FAILED = "failed"


class Event(StrEnum):
    """What can happen to an order, told apart as far as its status cares.

    Executions and what changes them come at any time, in any status. What was executed and is not
    the customer's is the firm's (the error account). `left` is what was never executed: a bust
    brings nothing back.
    """

    ACKNOWLEDGED = "acknowledged"
    """The exchange has the order."""
    REFUSED = "refused"
    """The exchange, or a check of our own, said no."""
    PROVED_ABSENT = "proved_absent"
    """The exchange never had the order, and never will."""
    CANCEL_REQUESTED = "cancel_requested"
    CANCEL_REFUSED = "cancel_refused"
    """The exchange keeps the order; nothing of it is filled."""
    CANCEL_REFUSED_BEGUN = "cancel_refused_begun"
    """The exchange keeps the order; a part of it is filled."""
    EXECUTED = "executed"
    """An execution after which the customer has nothing, and some of the order is left."""
    FILLED_IN_PART = "filled_in_part"
    """An execution after which the customer has a part, and some of the order is left."""
    FILLED = "filled"
    """An execution after which the customer has every share, or all that busts left of them."""
    USED_UP = "used_up"
    """An execution after which nothing is left, and the customer has a part."""
    USED_UP_UNFILLED = "used_up_unfilled"
    """An execution after which nothing is left, and the customer has nothing."""
    END_TOLD = "end_told"
    """The order left the exchange's book, with this many shares executed in all."""
    ENDED_CANCELLED = "ended_cancelled"
    """All that the told end counts is booked: not in full, and not expired."""
    ENDED_EXPIRED = "ended_expired"
    """The same of an order that expired."""
    BUSTED = "busted"
    """An execution is declared never to have happened."""
    CORRECTED = "corrected"
    """An execution had another price or size."""


_COLUMNS: Final = tuple(OrderStatus)


def _row(*results: OrderStatus | None) -> Mapping[OrderStatus, OrderStatus | None]:
    return dict(zip(_COLUMNS, results, strict=True))


_PEND, _SUBM, _PART, _PCAN, _FILL, _CANC, _EXPI, _REJE, _FAIL = _COLUMNS
____ = None

# fmt: off
TRANSITIONS: Final[Mapping[Event, Mapping[OrderStatus, OrderStatus | None]]] = {
    # from:                          pend   submit part_f pend_c filled cancel expire reject failed
    Event.ACKNOWLEDGED:         _row(_SUBM, _SUBM, _PART, _PCAN, _FILL, _CANC, _EXPI, _REJE, _FAIL),
    # A cancel may find that the exchange had refused the order.
    Event.REFUSED:              _row(_REJE, ____,  ____,  _REJE, ____,  ____,  ____,  ____,  ____),
    Event.PROVED_ABSENT:        _row(_FAIL, ____,  ____,  ____,  ____,  ____,  ____,  ____,  ____),
    Event.CANCEL_REQUESTED:     _row(_PCAN, _PCAN, _PCAN, ____,  ____,  ____,  ____,  ____,  ____),
    Event.CANCEL_REFUSED:       _row(____,  ____,  ____,  _SUBM, ____,  ____,  ____,  ____,  ____),
    Event.CANCEL_REFUSED_BEGUN: _row(____,  ____,  ____,  _PART, ____,  ____,  ____,  ____,  ____),
    # A fill can beat the acknowledgement. It leaves a pending cancel standing: the customer's wish
    # is not answered by it. Where the order has ended it is booked all the same, and a `filled`
    # order that was busted stays so. What is executed of a rejected order is the firm's, so that
    # the customer cannot come to have all of it.
    Event.EXECUTED:             _row(_SUBM, _SUBM, _PART, _PCAN, _FILL, _CANC, _EXPI, _REJE, _FAIL),
    # The proof of absence was wrong: the exchange had the order after all.
    Event.FILLED_IN_PART:       _row(_PART, _PART, _PART, _PCAN, _FILL, _CANC, _EXPI, _REJE, _PART),
    Event.FILLED:               _row(_FILL, _FILL, _FILL, _FILL, _FILL, _FILL, _FILL, ____,  _FILL),
    # The exchange has no more of it, and the firm bears a part: the order is over, not filled.
    Event.USED_UP:              _row(_CANC, _CANC, _CANC, _CANC, _FILL, _CANC, _EXPI, _REJE, _CANC),
    Event.USED_UP_UNFILLED:     _row(_CANC, _CANC, _CANC, _CANC, _FILL, _CANC, _EXPI, _REJE, _FAIL),
    # While executions are missing, an order keeps the status it had.
    Event.END_TOLD:             _row(_PEND, _SUBM, _PART, _PCAN, ____,  ____,  ____,  ____,  ____),
    Event.ENDED_CANCELLED:      _row(_CANC, _CANC, _CANC, _CANC, ____,  ____,  ____,  ____,  ____),
    Event.ENDED_EXPIRED:        _row(_EXPI, _EXPI, _EXPI, _EXPI, ____,  ____,  ____,  ____,  ____),
    # Nothing was executed of a pending order: an execution would have taken it on.
    Event.BUSTED:               _row(____,  _SUBM, _PART, _PCAN, _FILL, _CANC, _EXPI, _REJE, _FAIL),
    Event.CORRECTED:            _row(____,  _SUBM, _PART, _PCAN, _FILL, _CANC, _EXPI, _REJE, _FAIL),
}
"""What an event makes of a status; None: it cannot happen there, and is refused."""
# fmt: on

ONCE_ENDED_REFUSED: Final = frozenset(
    {
        Event.REFUSED,
        Event.PROVED_ABSENT,
        Event.CANCEL_REFUSED,
        Event.CANCEL_REFUSED_BEGUN,
        Event.END_TOLD,
    }
)
"""What cannot happen any more to an open order once the exchange has told its end."""

OPEN: Final = frozenset(_COLUMNS[:4])
CLOSED: Final = frozenset(_COLUMNS[4:])


def next_status(status: OrderStatus, event: Event, *, end_told: bool) -> OrderStatus | None:
    """The status after `event`; None where it is refused."""
    if end_told and event in ONCE_ENDED_REFUSED:
        return None
    return TRANSITIONS[event][status]
