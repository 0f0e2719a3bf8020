"""S3, S4, S7, S13: we and the exchange say the same of every order, share and cent. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from bench.checks import check as compare
from brokerage.contracts.ids import account_ref_for
from brokerage.storage.audit import Audit, AuditedExecution, AuditedOrder
from exchange.protocol import Bust, Correction, End, MemberMessage, Placement
from tests.checker.evidence import Evidence
from tests.checker.postgres import OrderRow, ReportRow
from tests.checker.violations import Violation

NAMED: Final = {
    "client order id used twice": "S3",
    "terms": "S3",
    "order unknown here": "S4",
    "execution not booked": "S7",
    "execution id used twice": "S7",
    "execution": "S7",
    "execution unknown there": "S7",
    "ledger does not sum to zero": "S9",
    "order in flight": "L1",
}
"""Which invariant a difference between the two sides breaks, where it is not S13."""


def both_sides_agree(evidence: Evidence) -> Iterator[Violation]:
    """S13, and what of S3, S4, S7 and S9 the comparison of `bench.checks` finds as well."""
    for difference in compare(_as_audit(evidence), evidence.venue.record):
        invariant = NAMED.get(difference.what, "S13")
        if invariant != "L1":  # told by `progress`, with more to it
            told = f"{difference.what}: {difference.ours} here, {difference.theirs} there"
            yield Violation(invariant, difference.where, told)


def sent_as_stored(evidence: Evidence) -> Iterator[Violation]:
    """S3: every placement the exchange received for an order has the order's stored terms, each
    time the same; and no user has more there than was accepted here.
    """
    rows = {one.order_id: one for one in evidence.tables.orders}
    first: dict[str, Placement] = {}
    for received in evidence.venue.placements:
        sent = received.placement
        before = first.setdefault(sent.client_order_id, sent)
        if sent != before:
            yield Violation("S3", sent.client_order_id, f"sent as {before}, then as {sent}")
        row = rows.get(sent.client_order_id)
        if row is not None and _terms(row) != _sent_terms(sent):
            yield Violation("S3", row.order_id, f"sent as {sent}, stored as {row}")
    there: Counter[tuple[str, str, str]] = Counter()
    for report in evidence.venue.record.orders:
        if report.status != "rejected":
            there[report.account, report.symbol, report.side] += report.shares
    here: Counter[tuple[str, str, str]] = Counter()
    for row in evidence.tables.orders:
        if row.status != "rejected":
            here[account_ref_for(row.user_id), row.symbol, row.side] += row.shares
    for of_whom, shares in there.items():
        if shares > here[of_whom]:
            told = f"{shares} shares were created there, {here[of_whom]} accepted here"
            yield Violation("S3", " ".join(of_whom), told)


def written_before_sent(evidence: Evidence) -> Iterator[Violation]:
    """S4: nothing of an order reaches the exchange before its row is written."""
    written: dict[str, datetime] = {}
    for event in evidence.tables.events:
        written[event.order_id] = min(event.at, written.get(event.order_id, event.at))
    seen: set[str] = set()
    for received in evidence.venue.placements:
        order_id = received.placement.client_order_id
        if order_id in seen:
            continue
        seen.add(order_id)
        at = datetime.fromtimestamp(received.at_ms / 1000, UTC)
        if order_id not in written:
            yield Violation("S4", order_id, f"received there at {at}, never written here")
        elif int(written[order_id].timestamp() * 1000) > received.at_ms:
            told = f"received there at {at}, written here at {written[order_id]}"
            yield Violation("S4", order_id, told)


def settled_once(evidence: Evidence) -> Iterator[Violation]:
    """S7: each message of the exchange is booked exactly once, as it was told, on its order."""
    client_ids = {one.order_id: one.client_order_id for one in evidence.venue.record.orders}
    booked: dict[str, list[ReportRow]] = defaultdict(list)
    for report in evidence.tables.reports:
        booked[report.report_id].append(report)
    for message in evidence.venue.messages:
        report_id, facts = _facts(message, client_ids.get(message.order_id, ""))
        found = booked.pop(report_id, [])
        if len(found) != 1:
            yield Violation("S7", report_id, f"booked {len(found)} times; it says {message}")
        elif (ours := _booked_facts(found[0])) != facts:
            yield Violation("S7", report_id, f"booked as {ours}, told as {facts}")
    for report_id, reports in booked.items():
        yield Violation("S7", report_id, f"booked, and never told: {reports}")


Facts = tuple[int, str, str, int, int, str | None]


def _facts(message: MemberMessage, order_id: str) -> tuple[str, Facts]:
    """The message's own id, and: sequence, order, symbol, shares, price, what it amends."""
    about = (message.seq, order_id, message.symbol)
    if isinstance(message, End):
        return f"end:{message.order_id}", (*about, 0, 0, None)
    if isinstance(message, Bust):
        return message.bust_id, (*about, 0, 0, message.execution_id)
    stands = (message.shares, message.price_cents)
    if isinstance(message, Correction):
        return message.correction_id, (*about, *stands, message.execution_id)
    return message.execution_id, (*about, *stands, None)


def _booked_facts(report: ReportRow) -> Facts:
    about = (report.feed_seq, report.order_id, report.symbol)
    return (*about, report.shares, report.price_cents, report.amends)


def _terms(row: OrderRow) -> tuple[object, ...]:
    account = account_ref_for(row.user_id)
    return (account, row.symbol, row.side, row.price_cents, row.shares, row.time_in_force)


def _sent_terms(sent: Placement) -> tuple[object, ...]:
    about = (sent.account, sent.symbol, sent.side)
    return (*about, sent.price_cents, sent.shares, sent.time_in_force)


def _as_audit(evidence: Evidence) -> Audit:
    """Our side of the comparison, from the rows."""
    tables = evidence.tables
    signs = {one.order_id: one.sign for one in tables.orders}
    borne_shares: Counter[str] = Counter()
    borne_cents: Counter[str] = Counter()
    ledger: Counter[tuple[str, str]] = Counter()
    for entry in tables.entries:
        ledger[entry.account, entry.asset] += entry.amount
        if entry.account == "error" and entry.order_id is not None:
            sign = signs.get(entry.order_id, 1)
            if entry.asset == "USD":
                borne_cents[entry.order_id] -= sign * entry.amount
            else:
                borne_shares[entry.order_id] += sign * entry.amount
    orders = [
        AuditedOrder(
            order_id=one.order_id,
            user_id=one.user_id,
            symbol=one.symbol,
            side=one.side,
            shares=one.shares,
            price_cents=one.price_cents,
            status=one.status,
            filled_shares=one.filled_shares,
            filled_notional_cents=one.filled_notional_cents,
            executed_shares=one.executed_shares,
            external_order_id=one.external_order_id,
            reason=one.reason,
            borne_shares=borne_shares[one.order_id],
            borne_cents=borne_cents[one.order_id],
        )
        for one in tables.orders
    ]
    executions = [
        AuditedExecution(
            execution_id=chain[0].report_id,
            order_id=chain[0].order_id,
            symbol=chain[0].symbol,
            shares=chain[-1].shares,
            booked_shares=chain[-1].booked_shares,
            price_cents=chain[-1].price_cents,
            amended=len(chain) > 1,
        )
        for chain in tables.chains()
    ]
    return Audit(tuple(orders), tuple(executions), dict(ledger), ())
