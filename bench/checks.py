"""Do our books agree with the exchange's own record? Pure: two records in, differences out."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from brokerage.storage.audit import Audit, AuditedExecution, AuditedOrder
from exchange.protocol import Execution, OrderReport

CASH: Final = "USD"
IN_FLIGHT: Final = frozenset({"pending", "pending_cancel"})
OPEN: Final = frozenset({"submitted", "partially_filled"})
NEVER_THERE: Final = frozenset({"rejected", "failed", "cancelled"})
"""How an order may end that the exchange never heard of, or never took."""
STATUS_CLASS: Final[Mapping[str, str]] = {
    "submitted": "open",
    "partially_filled": "open",
    "filled": "filled",
    "cancelled": "cancelled",
    "expired": "expired",
    "rejected": "rejected",
    "failed": "rejected",
}
"""Our statuses in the exchange's words; those in flight have none."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as it must be, at the place it was found."""

    what: str
    where: str
    ours: object
    theirs: object

    def __str__(self) -> str:
        return f"{self.what}: {self.where}: {self.ours} here, {self.theirs} there"


@dataclass(frozen=True)
class ExchangeRecord:
    """What the exchange says of one member: its orders and executions, oldest first."""

    orders: Sequence[OrderReport] = field(default_factory=tuple)
    executions: Sequence[Execution] = field(default_factory=tuple)


def check(ours: Audit, theirs: ExchangeRecord) -> list[Difference]:
    """Return everything in which the two disagree, or in which ours contradicts itself."""
    return [
        *_contradictions(ours),
        *_orders(ours, theirs),
        *_executions(ours, theirs),
        *_conservation(ours, theirs),
    ]


def in_flight(ours: Audit) -> list[AuditedOrder]:
    """Return the orders whose next state does not depend on the market."""
    return [order for order in ours.orders if order.status in IN_FLIGHT]


def open_orders(ours: Audit) -> list[AuditedOrder]:
    """Return the orders that rest at the exchange."""
    return [order for order in ours.orders if order.status in OPEN]


def _contradictions(ours: Audit) -> Iterator[Difference]:
    for one in ours.contradictions:
        yield Difference(f"not so: {one.what}", one.where, one.found, one.expected)


def _orders(ours: Audit, theirs: ExchangeRecord) -> Iterator[Difference]:
    """Order by order: the terms, what was executed of it, what it cost, how it stands."""
    reports = {report.client_order_id: report for report in theirs.orders}
    if len(reports) != len(theirs.orders):
        repeated = _repeated(report.client_order_id for report in theirs.orders)
        yield from (Difference("client order id used twice", one, 1, 2) for one in repeated)
    notional = _notional_by_order(ours)
    for order in ours.orders:
        report = reports.pop(order.order_id, None)
        if order.status in IN_FLIGHT:
            yield Difference("order in flight", order.order_id, order.status, _status_of(report))
        elif report is None:
            was_there = order.external_order_id is not None or order.executed_shares > 0
            if was_there or order.status not in NEVER_THERE:
                yield Difference("order unknown there", order.order_id, order.status, None)
        else:
            yield from _order(order, report, notional.get(order.order_id, 0))
    for report in reports.values():
        yield Difference("order unknown here", report.client_order_id, None, report.status)


def _order(order: AuditedOrder, report: OrderReport, notional_cents: int) -> Iterator[Difference]:
    terms = (order.symbol, order.side, order.shares, order.price_cents)
    their_terms = (report.symbol, report.side, report.shares, report.price_cents)
    pairs: list[tuple[str, object, object]] = [
        ("terms", terms, their_terms),
        ("status", _their_word(order, report), report.status),
        ("executed shares", order.executed_shares, report.cumulative_shares),
        ("executed notional", notional_cents, report.cumulative_notional_cents),
        (
            "filled shares, and the firm's",
            order.filled_shares + order.borne_shares,
            report.cumulative_shares,
        ),
        (
            "filled notional, and the firm's",
            order.filled_notional_cents + order.borne_cents,
            report.cumulative_notional_cents,
        ),
    ]
    if report.status != "rejected":
        pairs.append(("exchange's order id", order.external_order_id, report.order_id))
    for what, ours, theirs in pairs:
        if ours != theirs:
            yield Difference(what, order.order_id, ours, theirs)


def _executions(ours: Audit, theirs: ExchangeRecord) -> Iterator[Difference]:
    """Execution by execution, each once on both sides."""
    booked = {one.execution_id: one for one in ours.executions}
    client_ids = {report.order_id: report.client_order_id for report in theirs.orders}
    orders = {order.order_id: order for order in ours.orders}
    for one in _repeated(execution.execution_id for execution in theirs.executions):
        yield Difference("execution id used twice", one, 1, 2)
    for execution in theirs.executions:
        mine = booked.pop(execution.execution_id, None)
        their_facts = (
            client_ids.get(execution.order_id),
            execution.symbol,
            execution.shares,
            execution.price_cents,
        )
        if mine is None:
            yield Difference("execution not booked", execution.execution_id, None, their_facts)
            continue
        facts = (mine.order_id, mine.symbol, mine.shares, mine.price_cents)
        if facts != their_facts:
            yield Difference("execution", execution.execution_id, facts, their_facts)
        if mine.booked_shares != mine.shares and _must_be_booked(mine, orders.get(mine.order_id)):
            yield Difference(
                "execution not the customer's",
                execution.execution_id,
                mine.booked_shares,
                mine.shares,
            )
    for execution_id, mine in booked.items():
        # A busted execution is no longer listed there; here it has no shares.
        if mine.shares:
            yield Difference("execution unknown there", execution_id, mine.shares, None)


def _must_be_booked(execution: AuditedExecution, order: AuditedOrder | None) -> bool:
    """True for an execution that the hold of its order covered: nothing of it is the firm's."""
    if order is None or execution.amended:
        return False
    return order.status in OPEN | {"filled"} and order.executed_shares <= order.shares


def _conservation(ours: Audit, theirs: ExchangeRecord) -> Iterator[Difference]:
    """What users and firm have is what users were given, moved by the exchange's executions alone.

    The firm's part is the error account's: what customers need not bear, or cannot give back.
    """
    moved: Counter[str] = Counter()
    for execution in theirs.executions:
        sign = 1 if execution.side == "buy" else -1
        moved[CASH] -= sign * execution.shares * execution.price_cents
        moved[execution.symbol] += sign * execution.shares
    assets = {asset for _, asset in ours.ledger} | set(moved)
    for asset in sorted(assets):
        total = sum(amount for (_, one), amount in ours.ledger.items() if one == asset)
        if total:
            yield Difference("ledger does not sum to zero", asset, total, 0)
        given = -ours.ledger.get(("opening", asset), 0)
        held = ours.ledger.get(("user", asset), 0) + ours.ledger.get(("error", asset), 0)
        if held != given + moved[asset]:
            unit = "cents" if asset == CASH else "shares"
            yield Difference(f"{unit} of users and firm", asset, held, given + moved[asset])


def _notional_by_order(ours: Audit) -> dict[str, int]:
    notional: Counter[str] = Counter()
    for one in ours.executions:
        notional[one.order_id] += one.shares * one.price_cents
    return notional


def _repeated(names: Iterable[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]


def _their_word(order: AuditedOrder, report: OrderReport) -> str:
    """Our status as the exchange would say it. An order that was cancelled before it came there is
    refused when it comes.
    """
    came_too_late = report.status == "rejected" and order.external_order_id is None
    if came_too_late and order.status in NEVER_THERE:
        return "rejected"
    return STATUS_CLASS.get(order.status, order.status)


def _status_of(report: OrderReport | None) -> str | None:
    return None if report is None else report.status
