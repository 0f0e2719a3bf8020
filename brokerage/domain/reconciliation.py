"""Do our books agree with the exchange's statement? Pure: two records in, differences out.

A statement is made at one sequence of our messages, and so is the comparison: what we booked later
is left aside. Only what has no sequence, whether an order is open, is as it is now; it is not
compared while anything of the order came later than the statement.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from brokerage.domain.ledger import CASH
from brokerage.domain.states import OPEN, OrderStatus

IN_FLIGHT: Final = frozenset({OrderStatus.PENDING, OrderStatus.PENDING_CANCEL})
"""Only the exchange's answer moves these on."""
RESTING: Final = OPEN - IN_FLIGHT


class Kind(StrEnum):
    """What is different; the text is stable, and a label of a metric."""

    FILL_MISSING = "fill-missing"
    END_MISSING = "end-missing"
    BUST_MISSING = "bust-missing"
    CORRECTION_MISSING = "correction-missing"
    REPORT_UNKNOWN_THERE = "report-unknown-there"
    REPORT_DIFFERS = "report-differs"
    SUM_DIFFERS = "sum-differs"
    TERMS_DIFFER = "terms-differ"
    ORDER_UNKNOWN_HERE = "order-unknown-here"
    ORDER_UNKNOWN_THERE = "order-unknown-there"
    OPEN_THERE = "open-there"
    ENDED_THERE = "ended-there"
    IN_FLIGHT = "in-flight"
    WORKFLOW_GONE = "workflow-gone"
    MAPPING_MISSING = "mapping-missing"
    ENTRIES_DIFFER = "entries-differ"
    TOTAL_DIFFERS = "total-differs"
    SEQUENCE_LOST = "sequence-lost"
    BOOKS_CONTRADICT = "books-contradict"
    ERROR_ACCOUNT_OPEN = "error-account-open"
    SUSPENSE_OPEN = "suspense-open"
    REPORTS_PARKED = "reports-parked"
    DEAD_LETTERS = "dead-letters"


class Remedy(StrEnum):
    """What may be sent to whom so that a difference ends; nothing is written to the books."""

    TELL = "tell"
    """The order's workflow, what the exchange reported of it."""
    CANCEL_HERE = "cancel-here"
    """The order's workflow, that the rest is to go: it asks the exchange, and learns the end."""
    CANCEL_THERE = "cancel-there"
    """The exchange, that an order is to leave its book which nobody here waits for."""
    WAKE = "wake"
    """A run that takes the order over from its row."""


MISSING: Final[Mapping[str, Kind]] = {
    "fill": Kind.FILL_MISSING,
    "end": Kind.END_MISSING,
    "bust": Kind.BUST_MISSING,
    "correction": Kind.CORRECTION_MISSING,
}


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as it must be. `subject` is an order or an asset, `key` what of it.

    `ours` and `theirs` are the evidence, in words; without a remedy it waits for a person.
    """

    kind: Kind
    subject: str
    key: str = ""
    ours: str | None = None
    theirs: str | None = None
    user_id: str | None = None
    remedy: Remedy | None = None

    @property
    def identity(self) -> tuple[str, str, str]:
        """What makes it the same difference when it is seen again."""
        return (self.kind, self.subject, self.key)


@dataclass(frozen=True, slots=True)
class Report:
    """What the exchange told, or we booked: of an execution, `shares` at `price_cents` stand.

    `kind` is fill, end, bust or correction; the last two name in `amends` the fill they are about.
    """

    report_id: str
    kind: str
    feed_seq: int
    shares: int = 0
    price_cents: int = 0
    amends: str | None = None


@dataclass(frozen=True, slots=True)
class Sums:
    """Shares, and the cents they were traded for."""

    shares: int = 0
    cents: int = 0


@dataclass(frozen=True, slots=True)
class BookedOrder:
    """An order as we have it, all of one moment.

    `reports` are those booked. `entries` are what they brought to the customer's, the error and the
    suspense account together, as the order trades. `mapped_id` is the exchange's id by which its
    reports find the order; `quiet_seconds` is how long the row has not changed.
    """

    order_id: str
    user_id: str
    symbol: str
    side: str
    shares: int
    price_cents: int
    status: OrderStatus
    end_told: bool = False
    executed_shares: int = 0
    external_order_id: str | None = None
    mapped_id: str | None = None
    quiet_seconds: float = 0.0
    reports: Mapping[str, Report] = field(default_factory=dict)
    entries: Sums = Sums()


@dataclass(frozen=True, slots=True)
class StatedOrder:
    """An order on the exchange's statement; status and cumulative numbers are as they are now."""

    order_id: str
    external_order_id: str
    symbol: str
    side: str
    shares: int
    price_cents: int
    status: str
    cumulative_shares: int
    cumulative_notional_cents: int
    reports: Mapping[str, Report] = field(default_factory=dict)
    is_cut: bool = False

    @property
    def is_open(self) -> bool:
        """True while it may still trade."""
        return self.status == "open"


QUIET_SECONDS: Final = 30.0
"""An order in flight that changed since then is being seen to."""


def standing(reports: Iterable[Report]) -> Sums:
    """What executions come to after busts and corrections."""
    stands: dict[str, Report] = {}
    for report in sorted(reports, key=lambda one: one.feed_seq):
        if report.kind == "fill":
            stands.setdefault(report.report_id, report)
        elif report.amends is not None:
            stands[report.amends] = report
    return Sums(
        sum(one.shares for one in stands.values()),
        sum(one.shares * one.price_cents for one in stands.values()),
    )


def compare(
    ours: BookedOrder | None, theirs: StatedOrder | None, sequence: int
) -> list[Difference]:
    """Everything in which the two disagree about one order at `sequence`."""
    if ours is None:
        return [] if theirs is None else list(_unknown_here(theirs))
    found = [*_own(ours)]
    if theirs is None:
        found += _unknown_there(ours)
    else:
        found += _terms(ours, theirs)
        reports = [*_reports(ours, theirs, sequence)]
        found += reports
        if not reports:
            found += _sums(ours, theirs, sequence)
        if not any(one.kind in MISSING.values() for one in reports):
            found += _status(ours, theirs, sequence)
    return found


def _unknown_here(theirs: StatedOrder) -> Iterator[Difference]:
    # What ended there with nothing executed owes nobody anything.
    if theirs.is_open:
        yield _unknown(theirs, "open", Remedy.CANCEL_THERE)
    if theirs.cumulative_shares:
        yield _unknown(theirs, "executed", None)


def _unknown(theirs: StatedOrder, key: str, remedy: Remedy | None) -> Difference:
    there = (
        f"{theirs.status} as {theirs.external_order_id}: {theirs.side} {theirs.shares} "
        f"{theirs.symbol}, {theirs.cumulative_shares} executed"
    )
    return Difference(Kind.ORDER_UNKNOWN_HERE, theirs.order_id, key, "no row", there, remedy=remedy)


def _unknown_there(ours: BookedOrder) -> Iterator[Difference]:
    if ours.status in RESTING or (ours.executed_shares and ours.status not in IN_FLIGHT):
        yield _difference(
            ours,
            Kind.ORDER_UNKNOWN_THERE,
            ours=f"{ours.status}, {ours.executed_shares} executed",
            theirs="no such order",
            remedy=Remedy.CANCEL_HERE if ours.status in RESTING else None,
        )


def _own(ours: BookedOrder) -> Iterator[Difference]:
    """What needs no statement to be seen."""
    if ours.status in IN_FLIGHT and ours.quiet_seconds > QUIET_SECONDS:
        yield _difference(
            ours, Kind.IN_FLIGHT, ours=f"{ours.status}, unchanged for long", remedy=Remedy.WAKE
        )
    if ours.external_order_id != ours.mapped_id:
        yield _difference(
            ours, Kind.MAPPING_MISSING, ours=f"{ours.mapped_id} for {ours.external_order_id}"
        )
    booked = standing(ours.reports.values())
    if ours.entries != booked:
        yield _difference(
            ours,
            Kind.ENTRIES_DIFFER,
            ours=f"entries {_words(ours.entries)}",
            theirs=f"executions booked {_words(booked)}",
        )


def _terms(ours: BookedOrder, theirs: StatedOrder) -> Iterator[Difference]:
    external = theirs.external_order_id
    here = (ours.symbol, ours.side, ours.shares, ours.price_cents, ours.external_order_id)
    there = (theirs.symbol, theirs.side, theirs.shares, theirs.price_cents, external)
    # Until the first answer or report of it we do not know what the exchange calls an order.
    if here not in (there, (*there[:-1], None)):
        yield _difference(ours, Kind.TERMS_DIFFER, ours=repr(here), theirs=repr(there))


def _reports(ours: BookedOrder, theirs: StatedOrder, sequence: int) -> Iterator[Difference]:
    """Report by report, each once on both sides."""
    for report_id, told in theirs.reports.items():
        booked = ours.reports.get(report_id)
        if booked is None:
            yield _difference(ours, MISSING[told.kind], report_id, None, _report(told), Remedy.TELL)
        elif _report(booked) != _report(told):
            yield _difference(ours, Kind.REPORT_DIFFERS, report_id, _report(booked), _report(told))
    if theirs.is_cut:
        return
    for report_id, booked in ours.reports.items():
        if report_id not in theirs.reports and booked.feed_seq <= sequence:
            yield _difference(ours, Kind.REPORT_UNKNOWN_THERE, report_id, _report(booked), None)


def _sums(ours: BookedOrder, theirs: StatedOrder, sequence: int) -> Iterator[Difference]:
    """What both make of the same reports, where nothing came later."""
    if _moved(ours, theirs, sequence):
        return
    here, there = ours.executed_shares, theirs.cumulative_shares
    if here != there:
        yield _difference(
            ours, Kind.SUM_DIFFERS, ours=f"{here} executed", theirs=f"{there} executed"
        )


def _status(ours: BookedOrder, theirs: StatedOrder, sequence: int) -> Iterator[Difference]:
    if ours.status in IN_FLIGHT or _moved(ours, theirs, sequence):
        return
    if theirs.is_open and ours.status not in OPEN:
        yield _difference(
            ours, Kind.OPEN_THERE, ours=ours.status, theirs="open", remedy=Remedy.CANCEL_THERE
        )
    elif ours.status in OPEN and not ours.end_told and not theirs.is_open:
        yield _difference(
            ours,
            Kind.ENDED_THERE,
            ours=ours.status,
            theirs=theirs.status,
            remedy=Remedy.CANCEL_HERE,
        )


def _moved(ours: BookedOrder, theirs: StatedOrder, sequence: int) -> bool:
    """True where something of the order came after the statement."""
    if theirs.is_cut or any(one.feed_seq > sequence for one in ours.reports.values()):
        return True
    stated = standing(theirs.reports.values())
    return (stated.shares, stated.cents) != (
        theirs.cumulative_shares,
        theirs.cumulative_notional_cents,
    )


def _difference(
    order: BookedOrder,
    kind: Kind,
    key: str = "",
    ours: str | None = None,
    theirs: str | None = None,
    remedy: Remedy | None = None,
) -> Difference:
    return Difference(kind, order.order_id, key, ours, theirs, order.user_id, remedy)


def _report(report: Report) -> str:
    if report.kind == "end":
        return "end"
    about = f" of {report.amends}" if report.amends else ""
    return f"{report.kind}{about}: {report.shares} at {report.price_cents}"


def _words(sums: Sums) -> str:
    return f"{sums.shares} shares for {sums.cents} cents"


@dataclass(frozen=True, slots=True)
class AssetTotal:
    """What all entries of an asset come to, of one moment; cents of `USD`, else shares.

    `held` is the customers', the error and the suspense account together, `later` what of it came
    after the statement, `opening` what was put in, with its sign.
    """

    held: int = 0
    later: int = 0
    opening: int = 0


def compare_totals(
    ours: Mapping[str, AssetTotal], cash_cents: int, shares: Mapping[str, int]
) -> list[Difference]:
    """What customers and firm have is what was put in, moved by the exchange's executions alone."""
    traded = {**shares, CASH: cash_cents}
    found = []
    for asset in sorted({*ours, *traded}):
        total = ours.get(asset, AssetTotal())
        here, there = total.held - total.later, traded.get(asset, 0) - total.opening
        if here != there:
            found.append(Difference(Kind.TOTAL_DIFFERS, asset, "", str(here), str(there)))
    return found


@dataclass(frozen=True, slots=True)
class Pairing:
    """Orders of both sides by id, and how far each side was looked at."""

    pairs: list[tuple[BookedOrder | None, StatedOrder | None]]
    ours_after: str
    theirs_after: str
    done: bool


def pair(
    ours: Sequence[BookedOrder],
    theirs: Sequence[StatedOrder],
    *,
    ours_more: bool,
    theirs_more: str | None,
    ours_after: str,
    theirs_after: str,
) -> Pairing:
    """Merge a page of each side, both sorted by our order's id.

    Only what lies before the end of both pages is paired; the rest comes with the next pages.
    `theirs_more` is the cursor after their page, None at its end.
    """
    ends = [ours[-1].order_id] if ours_more else []
    ends += [theirs_more] if theirs_more is not None else []
    bound = min(ends, default=None)
    here = {one.order_id: one for one in ours if bound is None or one.order_id <= bound}
    there = {one.order_id: one for one in theirs if bound is None or one.order_id <= bound}
    return Pairing(
        [(here.get(one), there.get(one)) for one in sorted({*here, *there})],
        ours_after=max([ours_after, *here]),
        theirs_after=theirs_after if bound is None else bound,
        done=bound is None,
    )
