from dataclasses import replace
from typing import Any

import pytest

from brokerage.domain.reconciliation import (
    AssetTotal,
    BookedOrder,
    Difference,
    Kind,
    Remedy,
    Report,
    StatedOrder,
    Sums,
    compare,
    compare_totals,
    pair,
    standing,
)
from brokerage.domain.states import OrderStatus

ORDER = "0b9bb1b6-7d6a-5c0b-8a5e-1f4f6f0f0001"
FOUR = Report("e-1", "fill", 1, 4, 100)
SIX = Report("e-2", "fill", 2, 6, 99)
END = Report("end:x-1", "end", 3)
BUST = Report("b-1", "bust", 4, 0, 0, "e-1")
CORRECTION = Report("c-1", "correction", 4, 3, 98, "e-1")


def told(*reports: Report) -> dict[str, Report]:
    return {report.report_id: report for report in reports}


def booked(*reports: Report, status: str = "partially_filled", **changes: Any) -> BookedOrder:
    """Our buy of ten, whose row and entries are what its reports come to."""
    sums = standing(reports)
    order = BookedOrder(
        ORDER,
        "ada",
        "IBM",
        "buy",
        10,
        100,
        OrderStatus(status),
        executed_shares=sums.shares,
        external_order_id="x-1",
        mapped_id="x-1",
        reports=told(*reports),
        entries=sums,
    )
    return replace(order, **changes)


def stated(*reports: Report, status: str = "open", **changes: Any) -> StatedOrder:
    """The same order there, of which nothing came after the statement."""
    sums = standing(reports)
    order = StatedOrder(
        ORDER, "x-1", "IBM", "buy", 10, 100, status, sums.shares, sums.cents, told(*reports)
    )
    return replace(order, **changes)


def found(
    ours: BookedOrder | None, theirs: StatedOrder | None, sequence: int = 10
) -> list[tuple[Kind, str, Remedy | None]]:
    return [(one.kind, one.key, one.remedy) for one in compare(ours, theirs, sequence)]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (booked(status="submitted"), stated()),
        (booked(FOUR), stated(FOUR)),
        (booked(FOUR, SIX, status="filled"), stated(FOUR, SIX, status="filled")),
        (booked(FOUR, END, status="expired"), stated(FOUR, END, status="expired")),
        (booked(FOUR, BUST, status="cancelled"), stated(FOUR, BUST, status="cancelled")),
        (booked(FOUR, CORRECTION), stated(FOUR, CORRECTION)),
        # A late fill completed an order that was cancelled there.
        (booked(FOUR, SIX, status="filled"), stated(FOUR, SIX, status="cancelled")),
        (booked(status="rejected", external_order_id=None, mapped_id=None), None),
        (booked(status="failed", external_order_id=None, mapped_id=None), None),
        (booked(status="cancelled"), None),
        (booked(status="pending", external_order_id=None, mapped_id=None), None),
        (booked(status="pending_cancel"), stated(status="cancelled")),
        (None, stated(status="rejected")),
    ],
)
def test_what_agrees_is_no_difference(ours: BookedOrder | None, theirs: StatedOrder | None) -> None:
    assert found(ours, theirs) == []


@pytest.mark.parametrize(
    ("report", "kind"),
    [
        (FOUR, Kind.FILL_MISSING),
        (END, Kind.END_MISSING),
        (BUST, Kind.BUST_MISSING),
        (CORRECTION, Kind.CORRECTION_MISSING),
    ],
)
def test_what_the_exchange_told_and_we_did_not_book_is_told_again(
    report: Report, kind: Kind
) -> None:
    others = [] if report is FOUR else [FOUR]
    theirs = stated(*others, report, status="expired" if report is END else "open")

    assert found(booked(*others), theirs) == [(kind, report.report_id, Remedy.TELL)]


def test_a_fill_that_the_exchange_never_told_waits_for_a_person() -> None:
    assert found(booked(FOUR, SIX), stated(FOUR)) == [(Kind.REPORT_UNKNOWN_THERE, "e-2", None)]


def test_what_was_booked_after_the_statement_is_left_aside() -> None:
    assert found(booked(FOUR, SIX, status="filled"), stated(FOUR), sequence=1) == []


def test_what_was_executed_after_the_statement_is_left_aside() -> None:
    theirs = stated(FOUR, status="filled", cumulative_shares=10, cumulative_notional_cents=994)

    assert found(booked(FOUR), theirs, sequence=1) == []


def test_a_fill_at_another_price_waits_for_a_person() -> None:
    wrong = replace(FOUR, price_cents=101)

    [one] = compare(booked(wrong), stated(FOUR), 10)

    assert (one.kind, one.key, one.remedy) == (Kind.REPORT_DIFFERS, "e-1", None)
    assert (one.ours, one.theirs) == ("fill: 4 at 101", "fill: 4 at 100")
    assert (one.subject, one.user_id) == (ORDER, "ada")


def test_a_row_that_counts_other_shares_than_the_exchange_waits_for_a_person() -> None:
    row = booked(FOUR, executed_shares=5)

    assert found(row, stated(FOUR)) == [(Kind.SUM_DIFFERS, "", None)]


def test_entries_that_are_not_what_was_executed_wait_for_a_person() -> None:
    assert found(booked(FOUR, entries=Sums(4, 399)), stated(FOUR)) == [
        (Kind.ENTRIES_DIFFER, "", None)
    ]


@pytest.mark.parametrize(
    "changes", [{"shares": 11}, {"side": "sell"}, {"external_order_id": "x-2"}]
)
def test_other_terms_or_another_name_there_wait_for_a_person(changes: dict[str, Any]) -> None:
    assert found(booked(FOUR), stated(FOUR, **changes)) == [(Kind.TERMS_DIFFER, "", None)]


def test_an_order_that_is_open_there_and_over_here_is_cancelled_there() -> None:
    assert found(booked(FOUR, status="cancelled"), stated(FOUR)) == [
        (Kind.OPEN_THERE, "", Remedy.CANCEL_THERE)
    ]


def test_an_order_that_ended_there_without_our_hearing_it_learns_its_end() -> None:
    assert found(booked(FOUR), stated(FOUR, status="cancelled")) == [
        (Kind.ENDED_THERE, "", Remedy.CANCEL_HERE)
    ]


def test_an_order_whose_end_is_known_waits_for_its_executions_and_for_nobody() -> None:
    theirs = stated(FOUR, SIX, status="filled")

    assert found(booked(FOUR, end_told=True), theirs) == [(Kind.FILL_MISSING, "e-2", Remedy.TELL)]


def test_an_order_that_nobody_here_knows_is_cancelled_there_and_its_executions_are_a_persons() -> (
    None
):
    assert found(None, stated(FOUR)) == [
        (Kind.ORDER_UNKNOWN_HERE, "open", Remedy.CANCEL_THERE),
        (Kind.ORDER_UNKNOWN_HERE, "executed", None),
    ]


def test_an_open_order_that_the_exchange_does_not_know_is_cancelled() -> None:
    assert found(booked(status="submitted"), None) == [
        (Kind.ORDER_UNKNOWN_THERE, "", Remedy.CANCEL_HERE)
    ]


def test_an_executed_order_that_the_exchange_does_not_know_waits_for_a_person() -> None:
    assert found(booked(FOUR, status="cancelled"), None) == [(Kind.ORDER_UNKNOWN_THERE, "", None)]


@pytest.mark.parametrize("status", ["pending", "pending_cancel"])
def test_an_order_in_flight_for_long_is_woken(status: str) -> None:
    assert found(booked(status=status, quiet_seconds=31), stated()) == [
        (Kind.IN_FLIGHT, "", Remedy.WAKE)
    ]


def test_an_order_whose_reports_do_not_find_it_waits_for_a_person() -> None:
    assert found(booked(FOUR, mapped_id=None), stated(FOUR)) == [(Kind.MAPPING_MISSING, "", None)]


def test_of_an_order_with_too_many_reports_only_those_listed_are_compared() -> None:
    theirs = stated(FOUR, is_cut=True, cumulative_shares=10, cumulative_notional_cents=994)

    assert found(booked(FOUR, SIX, status="filled"), theirs) == []


def test_the_newest_amendment_is_what_stands_of_an_execution() -> None:
    later = Report("c-2", "correction", 6, 2, 97, "e-1")

    assert standing([later, FOUR, CORRECTION, SIX]) == Sums(8, 2 * 97 + 6 * 99)
    assert standing([FOUR, BUST]) == Sums(0, 0)


def test_a_difference_is_the_same_when_its_evidence_changed() -> None:
    one = Difference(Kind.SUM_DIFFERS, ORDER, "", "4 executed", "5 executed")

    assert one.identity == replace(one, theirs="6 executed").identity


def test_totals_are_what_was_put_in_and_what_was_traded() -> None:
    ours = {
        "USD": AssetTotal(held=9_600, later=-100, opening=-10_000),
        "IBM": AssetTotal(held=54, later=1, opening=-50),
    }

    assert compare_totals(ours, -300, {"IBM": 3}) == []


def test_totals_that_differ_wait_for_a_person() -> None:
    ours = {"USD": AssetTotal(held=9_700, opening=-10_000)}

    found = compare_totals(ours, -400, {"IBM": 4})

    assert [(one.kind, one.subject, one.ours, one.theirs, one.remedy) for one in found] == [
        (Kind.TOTAL_DIFFERS, "IBM", "0", "4", None),
        (Kind.TOTAL_DIFFERS, "USD", "9700", "9600", None),
    ]


def test_pages_of_both_sides_are_walked_once_whatever_their_lengths() -> None:
    here = [replace(booked(), order_id=name) for name in "abdfgh"]
    there = [replace(stated(), order_id=name) for name in "bcdegi"]
    seen: list[tuple[str | None, str | None]] = []
    ours_after = theirs_after = ""
    done = False
    while not done:
        ours = [one for one in here if one.order_id > ours_after][:2]
        theirs = [one for one in there if one.order_id > theirs_after][:3]
        paired = pair(
            ours,
            theirs,
            ours_more=len(ours) == 2,
            theirs_more=theirs[-1].order_id if len(theirs) == 3 else None,
            ours_after=ours_after,
            theirs_after=theirs_after,
        )
        seen += [(a.order_id if a else None, b.order_id if b else None) for a, b in paired.pairs]
        ours_after, theirs_after, done = paired.ours_after, paired.theirs_after, paired.done

    assert seen == [
        ("a", None),
        ("b", "b"),
        (None, "c"),
        ("d", "d"),
        (None, "e"),
        ("f", None),
        ("g", "g"),
        ("h", None),
        (None, "i"),
    ]
