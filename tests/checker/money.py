"""S8 to S12: prices, the ledger, balances and holds, to the cent. Pure, over evidence."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from tests.checker.evidence import Evidence
from tests.checker.postgres import OrderRow, ReportRow
from tests.checker.violations import Violation

CASH: Final = "USD"
SAME_CLAIM: Final = timedelta(milliseconds=1)
"""An order's time is that of its claim, in whole milliseconds."""
GUARDS: Final = {
    ("ledger_entries", "append_only"),
    ("ledger_entries", "balanced"),
    ("order_events", "append_only"),
}
"""The triggers that keep entries and events as they were written."""


def price_is_protected(evidence: Evidence) -> Iterator[Violation]:
    """S8: an order is sent at its limit, a market order at its collar; and no customer pays more
    for a share, or gets less, than that. What the exchange did worse is the firm's.

    A key that had neither an answer nor an order yet was claimed again with the price of then; the
    price of the claim before it, which its order may have been started with, is on no record.
    """
    keys = {one.order_id: one for one in evidence.tables.keys}
    orders = {one.order_id: one for one in evidence.tables.orders}
    for order in evidence.tables.orders:
        key = keys.get(order.order_id)
        last = 0 if key is None else key.last_price_cents
        expected = order.limit_price_cents or _collar(order.side, last)
        renewed = key is not None and key.claimed_at - order.created_at > SAME_CLAIM
        priced_before = renewed and order.limit_price_cents is None
        if order.price_cents != expected and not priced_before:
            told = f"{order.side} sent at {order.price_cents}, its limit or collar is {expected}"
            yield Violation("S8", order.order_id, told)
    for report in evidence.tables.reports:
        # A bust or correction of what cannot be given back follows rules of its own.
        if report.kind != "fill" or report.order_id not in orders:
            continue
        order = orders[report.order_id]
        worst = order.price_cents * report.booked_shares
        if order.sign * (report.booked_cents - worst) > 0:
            told = f"{order.side} of {report.booked_shares} for {report.booked_cents} cents"
            yield Violation("S8", report.report_id, f"{told}, {worst} at its limit")


def _collar(side: str, last_price_cents: int) -> int:
    if side == "buy":
        return max(last_price_cents + 1, last_price_cents * 105 // 100)
    return max(1, (last_price_cents * 95 + 99) // 100)


def ledger_balances(evidence: Evidence) -> Iterator[Violation]:
    """S9: the legs of every source sum to zero in every asset, none is missing, and the triggers
    that keep it so are in force.
    """
    sums: Counter[tuple[str, str, str]] = Counter()
    legs: dict[tuple[str, str], list[int]] = defaultdict(list)
    for entry in evidence.tables.entries:
        sums[entry.user_id, entry.source, entry.asset] += entry.amount
        legs[entry.user_id, entry.source].append(entry.leg)
    for (user_id, source, asset), total in sums.items():
        if total:
            yield Violation("S9", f"{user_id} {source}", f"{asset} is off by {total}")
    for (user_id, source), found in legs.items():
        if sorted(found) != list(range(1, len(found) + 1)):
            yield Violation("S9", f"{user_id} {source}", f"it has the legs {sorted(found)}")
    for table, trigger in sorted(GUARDS - evidence.tables.guards):
        yield Violation("S9", table, f"the trigger {trigger} is not in force")


def balances_are_sums(evidence: Evidence) -> Iterator[Violation]:
    """S10: a balance is the sum of its entries, and what is available of it was at no time below
    zero.
    """
    sums: Counter[tuple[str, str]] = Counter()
    for entry in evidence.tables.entries:
        if entry.account == "user":
            sums[entry.user_id, entry.asset] += entry.amount
    balances = {(one.user_id, CASH): one.cash_cents for one in evidence.tables.accounts}
    balances |= {(one.user_id, one.symbol): one.shares for one in evidence.tables.positions}
    for of_what in sorted(sums.keys() | balances.keys()):
        if balances.get(of_what, 0) != sums[of_what]:
            told = f"balance {balances.get(of_what, 0)}, entries {sums[of_what]}"
            yield Violation("S10", " ".join(of_what), told)
    for event in evidence.tables.events:
        free = event.cash_cents - event.held_cents, event.position_shares - event.held_shares
        if min(free) < 0:
            told = f"after event {event.seq} ({event.kind}) {free[0]} cents, {free[1]} shares free"
            yield Violation("S10", event.order_id, told)


def holds_are_needed(evidence: Evidence) -> Iterator[Violation]:
    """S11: an order holds exactly what may still be executed of it or is and is not booked, one
    that is over nothing; what a user has held is the sum of that.
    """
    tables = evidence.tables
    held: Counter[tuple[str, str]] = Counter()
    holds = {one.order_id: one for one in tables.holds}
    for order in tables.orders:
        hold = holds.pop(order.order_id, None)
        needed = _needed_shares(order)
        amount = needed * (order.price_cents if order.side == "buy" else 1)
        found = (0, 0) if hold is None else (hold.shares, hold.amount)
        if found != (needed, amount):
            told = f"{order.status}, it holds {found}, and needs {(needed, amount)}"
            yield Violation("S11", order.order_id, told)
        held[order.user_id, CASH if order.side == "buy" else order.symbol] += amount
    for order_id in holds:
        yield Violation("S11", order_id, "a hold of an order that has no row")
    balances = {(one.user_id, CASH): one.held_cents for one in tables.accounts}
    balances |= {(one.user_id, one.symbol): one.held_shares for one in tables.positions}
    for of_what in sorted(held.keys() | balances.keys()):
        if balances.get(of_what, 0) != held[of_what]:
            told = f"{balances.get(of_what, 0)} held, its orders need {held[of_what]}"
            yield Violation("S11", " ".join(of_what), told)


def _needed_shares(order: OrderRow) -> int:
    if not order.is_open:
        return 0
    leaves = max(0, order.shares - order.matched_shares)
    if order.end_status is None:
        return leaves
    return min(leaves, max(0, (order.final_shares or 0) - order.executed_shares))


def executions_move_money_exactly(evidence: Evidence) -> Iterator[Violation]:
    """S12: what a report moves on the customer's side is what is booked by it, and on all sides
    what the exchange executed: cash against shares, to the cent.
    """
    moved: Counter[tuple[str, bool, bool]] = Counter()
    for entry in evidence.tables.entries:
        if entry.account != "clearing":
            moved[entry.source, entry.account == "user", entry.asset == CASH] += entry.amount
    orders = {one.order_id: one for one in evidence.tables.orders}
    for chain in evidence.tables.chains():
        order = orders.get(chain[0].order_id)
        was = (0, 0, 0, 0)
        for report in chain:
            user_shares, user_cents = (
                moved[report.report_id, True, cash] for cash in (False, True)
            )
            firm_shares, firm_cents = (
                moved[report.report_id, False, cash] for cash in (False, True)
            )
            found = (user_shares, user_cents, user_shares + firm_shares, user_cents + firm_cents)
            if order is None or (report is not chain[-1] and report.amends and not any(found)):
                # An amendment that came after a newer one is noted, and moves nothing.
                continue
            sign = order.sign
            shares, cents, executed, notional = (
                now - before for now, before in zip(report.allocation, was, strict=True)
            )
            was = report.allocation
            expected = (sign * shares, -sign * cents, sign * executed, -sign * notional)
            if found != expected:
                told = f"the customer's shares and cents, and everybody's, moved by {found}"
                yield Violation("S12", report.report_id, f"{told}, and should by {expected}")
        if order is not None:
            yield from _charged(order, chain[0])


def _charged(order: OrderRow, fill: ReportRow) -> Iterator[Violation]:
    """A fill costs the customer its price, and never more than the limit."""
    better = min if order.side == "buy" else max
    price_cents = better(fill.price_cents, order.price_cents)
    if fill.booked_cents != fill.booked_shares * price_cents:
        told = f"{fill.booked_shares} shares at {price_cents} booked as {fill.booked_cents} cents"
        yield Violation("S12", fill.report_id, told)
