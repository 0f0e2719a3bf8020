"""What the exchange takes back: an execution that is busted, or corrected.

It is booked as one event: every leg of the execution is reversed where it was booked, and what
stands instead is booked anew. A customer who has spent the proceeds, or sold the shares, cannot
give them back; balances never fall below what is held. Then the firm steps in for exactly the
missing part, share by share: whole shares stay the customer's at what they cost, and the firm bears
both of their legs, so that nobody keeps the shares and the money. Where a price alone changes, the
firm bears the missing cents.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from brokerage.domain import orders
from brokerage.domain.booking import Books, Change, with_hold
from brokerage.domain.ledger import (
    Allocation,
    Borne,
    ErrorCause,
    allocate,
    allocation_postings,
    charged_price_cents,
    reversed_postings,
)
from brokerage.domain.orders import Order, Side
from brokerage.domain.states import Event


@dataclass(frozen=True, slots=True)
class Amendment:
    """What the exchange says of an execution: `shares` at `price_cents` stand, none after a bust.

    `report_id` is the bust's or the correction's own id.
    """

    report_id: str
    execution_id: str
    shares: int
    price_cents: int

    @property
    def kind(self) -> str:
        """`bust` or `correction`."""
        return "correction" if self.shares else "bust"


def amend(
    order: Order, books: Books, standing: Allocation, amendment: Amendment, at: datetime
) -> Change:
    """Book what becomes of an execution that stands as `standing`, whatever the order's status.

    The exchange does not put the shares back on its book, so an open order's hold stays as it is.
    """
    anew = _reallocated(order, books, standing, amendment)
    moved = orders.amend_execution(
        order,
        Event.CORRECTED if amendment.shares else Event.BUSTED,
        anew.executed_shares - standing.executed_shares,
        anew.shares - standing.shares,
        anew.cents - standing.cents,
        at,
    )
    change = with_hold(
        moved,
        f"{amendment.kind}:{amendment.report_id}",
        amendment.kind,
        before=books.hold_shares,
        after=min(books.hold_shares, _needed_shares(moved)),
    )
    return replace(
        change,
        postings=(
            *reversed_postings(allocation_postings(order.side, order.symbol, standing)),
            *allocation_postings(order.side, order.symbol, anew),
        ),
        booked=anew,
        detail={
            "executionId": amendment.execution_id,
            "reportId": amendment.report_id,
            "shares": amendment.shares,
            "priceInCents": amendment.price_cents,
            "bookedShares": anew.shares,
            "bookedNotionalInCents": anew.cents,
            "was": {
                "shares": standing.executed_shares,
                "notionalInCents": standing.executed_cents,
                "bookedShares": standing.shares,
                "bookedNotionalInCents": standing.cents,
            },
        },
    )


def _needed_shares(order: Order) -> int:
    """What an order has to hold: what may still be executed, or is, and is not booked yet."""
    if not order.is_open:
        return 0
    if order.end_status is None:
        return order.leaves_shares
    unbooked = max(0, (order.final_shares or 0) - order.executed_shares)
    return min(order.leaves_shares, unbooked)


def _reallocated(
    order: Order, books: Books, standing: Allocation, amendment: Amendment
) -> Allocation:
    """Take back what is too much, charge the new price for what stays, add what is new."""
    buys = order.side is Side.BUY
    sign = 1 if buys else -1
    cause = ErrorCause.UNCOVERED_CORRECTION if amendment.shares else ErrorCause.UNCOVERED_BUST
    free_cents, free_shares = books.buying_power_cents, books.sellable_shares

    staying = min(standing.shares, amendment.shares)
    surplus = standing.shares - staying
    returned = min(surplus, free_shares if buys else _payable(standing, free_cents))
    kept = surplus - returned
    left_cents = _cents_of(standing, standing.shares - returned)
    staying_cents = left_cents * staying // (staying + kept) if staying else 0
    kept_cents = left_cents - staying_cents
    free_cents += sign * (standing.cents - left_cents)
    free_shares -= sign * returned

    charged = charged_price_cents(order.side, amendment.price_cents, order.price_cents)
    due = sign * (staying * charged - staying_cents)
    missing = max(0, due - free_cents)
    free_cents -= due - missing

    more = max(0, amendment.shares - standing.executed_shares)
    # The firm's part of an execution grows with it; and nothing of a bust comes back to a customer.
    whole = standing.shares == standing.executed_shares > 0
    unbooked = min(order.shares, order.matched_shares) - order.filled_shares
    room = min(more, unbooked) if whole else 0
    covered = room * charged <= free_cents if buys else room <= free_shares
    added = room if covered else 0

    rest = amendment.shares - staying - added
    cause_of_rest = next((part.cause for part in standing.borne if part.shares > 0), cause)
    fresh = allocate(
        order.side,
        amendment.shares,
        staying + added,
        amendment.price_cents,
        order.price_cents,
        Borne(cause_of_rest, rest, rest * amendment.price_cents),
    )
    # What the customer keeps, and does not pay, is the firm's the other way round.
    stepped_in = Borne(cause, -kept, sign * missing - kept_cents)
    borne = (*fresh.borne, stepped_in) if stepped_in.shares or stepped_in.cents else fresh.borne
    return Allocation(fresh.shares - stepped_in.shares, fresh.cents - stepped_in.cents, borne)


def _cents_of(standing: Allocation, shares: int) -> int:
    """What so many of the customer's shares cost of what all of them did."""
    return standing.cents * shares // standing.shares if shares else 0


def _payable(standing: Allocation, free_cents: int) -> int:
    """How many of the shares sold the customer can pay back."""
    if standing.cents <= free_cents:
        return standing.shares
    return free_cents * standing.shares // standing.cents
