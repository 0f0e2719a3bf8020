"""S5, S6, S14: an order's own life, as its row and its events tell it. Pure, over evidence."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Set
from itertools import pairwise
from typing import Final

from tests.checker.evidence import Evidence
from tests.checker.postgres import OPEN, EventRow, OrderRow
from tests.checker.violations import Violation

CLOSED: Final = ("filled", "cancelled", "expired", "rejected", "failed")
ENDED: Final = frozenset({"filled", "cancelled", "expired"})
FIRST: Final = frozenset({"pending", "rejected"})
LOWERING: Final = frozenset({"bust", "correction"})

Steps = Mapping[str, Set[str]]
_STAY: Final[Steps] = {status: {status} for status in (*OPEN, *CLOSED)}
_AMENDED: Final[Steps] = {
    **{status: {status} | ENDED for status in OPEN},
    **{status: {status, "filled"} for status in CLOSED},
}
STEPS: Final[Mapping[str, Steps]] = {
    "submitted": {**_STAY, "pending": {"submitted"}},
    "rejected": {"pending": {"rejected"}, "pending_cancel": {"rejected"}},
    "failed": {"pending": {"failed"}},
    "cancel-requested": {status: {"pending_cancel"} for status in OPEN - {"pending_cancel"}},
    "cancel-refused": {"pending_cancel": {"submitted", "partially_filled"}},
    "ending": {status: {status} for status in OPEN},
    "cancelled": {status: {"cancelled"} for status in OPEN},
    "expired": {status: {"expired"} for status in OPEN},
    "fill": {
        "pending": {"submitted", "partially_filled"} | ENDED,
        "submitted": {"submitted", "partially_filled"} | ENDED,
        "partially_filled": {"partially_filled"} | ENDED,
        "pending_cancel": {"pending_cancel"} | ENDED,
        "filled": {"filled"},
        "cancelled": {"cancelled", "filled"},
        "expired": {"expired", "filled"},
        "rejected": {"rejected"},
        "failed": {"failed", "partially_filled", "filled", "cancelled"},
    },
    "bust": _AMENDED,
    "correction": _AMENDED,
}
"""From which status to which an event of each kind may take an order: design 7, written here a
second time, on purpose. What has ended is changed by executions and what becomes of them only.
"""


def _lives(evidence: Evidence) -> dict[str, list[EventRow]]:
    lives: dict[str, list[EventRow]] = defaultdict(list)
    for event in sorted(evidence.tables.events, key=lambda one: one.version):
        lives[event.order_id].append(event)
    return lives


def transitions_are_legal(evidence: Evidence) -> Iterator[Violation]:
    """S5: an order begins pending or rejected, goes on by legal steps, one version at a time, and
    what has ended is changed by late executions, busts and corrections only.
    """
    for order_id, life in _lives(evidence).items():
        first = life[0].order["status"]
        if first not in FIRST:
            yield Violation("S5", order_id, f"began {first}")
        for before, after in pairwise(life):
            if after.version != before.version + 1:
                told = f"version {before.version}, then {after.version}"
                yield Violation("S5", order_id, told)
            left, reached = before.order["status"], after.order["status"]
            if reached not in STEPS.get(after.kind, {}).get(left, ()):
                yield Violation("S5", order_id, f"{after.kind}: from {left} to {reached}")


def shares_add_up(evidence: Evidence) -> Iterator[Violation]:
    """S6: an order is never filled above its quantity, its sums are those of its executions, and
    only a bust or a correction lowers what is filled; `filled` means all of it.
    """
    booked: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for chain in evidence.tables.chains():
        stands, sums = chain[-1], booked[chain[0].order_id]
        sums[0] += stands.booked_shares
        sums[1] += stands.booked_cents
        sums[2] += stands.shares
    for order in evidence.tables.orders:
        yield from _sums(order, booked[order.order_id])
    for order_id, life in _lives(evidence).items():
        for before, after in pairwise(life):
            filled = before.order["filledShares"], after.order["filledShares"]
            if filled[1] < filled[0] and after.kind not in LOWERING:
                yield Violation(
                    "S6", order_id, f"{after.kind}: filled {filled[0]}, then {filled[1]}"
                )


def _sums(order: OrderRow, booked: list[int]) -> Iterator[Violation]:
    found = [order.filled_shares, order.filled_notional_cents, order.executed_shares]
    if found != booked:
        told = f"filled, its cents and executed are {found}, those of its executions {booked}"
        yield Violation("S6", order.order_id, told)
    if not 0 <= order.filled_shares <= order.shares:
        yield Violation("S6", order.order_id, f"{order.filled_shares} of {order.shares} filled")
    if order.filled_shares == order.shares and order.status != "filled":
        yield Violation("S6", order.order_id, f"filled in full and {order.status}")
    # What the exchange took back of a filled order leaves the status.
    if order.status == "filled" and order.matched_shares < order.shares:
        told = f"filled, and {order.matched_shares} of {order.shares} were ever executed"
        yield Violation("S6", order.order_id, told)


def every_change_has_its_event(evidence: Evidence) -> Iterator[Violation]:
    """S14: as many events as versions, gapless for the user, each by somebody; the newest says what
    the row says, and the chain over them holds.
    """
    for link in evidence.tables.broken:
        yield Violation("S14", link.order_id, link.what)
    lives = _lives(evidence)
    for order in evidence.tables.orders:
        life = lives.pop(order.order_id, [])
        if len(life) != order.version:
            told = f"version {order.version}, and events of {[one.version for one in life]}"
            yield Violation("S14", order.order_id, told)
        elif (told_last := _told(life[-1])) != (row := _row(order)):
            yield Violation(
                "S14", order.order_id, f"its last event says {told_last}, its row {row}"
            )
    for order_id in lives:
        yield Violation("S14", order_id, "events of an order that has no row")
    seqs: dict[str, list[int]] = defaultdict(list)
    for event in evidence.tables.events:
        seqs[event.user_id].append(event.seq)
        if not event.actor:
            yield Violation("S14", event.order_id, f"{event.kind} by nobody")
    for account in evidence.tables.accounts:
        found = sorted(seqs[account.user_id])
        if found != list(range(1, account.event_seq + 1)):
            told = f"{len(found)} events up to {found[-1:]}, the account counts {account.event_seq}"
            yield Violation("S14", account.user_id, told)


def _told(event: EventRow) -> tuple[object, ...]:
    shown = event.order
    filled = (shown["filledShares"], shown["filledNotionalInCents"])
    return (shown["version"], shown["status"], *filled, shown["externalOrderId"])


def _row(order: OrderRow) -> tuple[object, ...]:
    filled = (order.filled_shares, order.filled_notional_cents)
    return (order.version, order.status, *filled, order.external_order_id)
