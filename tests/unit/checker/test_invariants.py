"""A good day raises nothing; each wrong row planted in it is called by the name of what it breaks.

A row that breaks one thing often breaks another: then both are named, and nothing else.
"""

from dataclasses import replace

import pytest

from tests.checker.evidence import Evidence
from tests.checker.history import Call
from tests.checker.invariants import check
from tests.checker.postgres import BrokenLink, HoldRow, WaitingRow
from tests.checker.venue import Received
from tests.unit.checker.good import ANN, asked
from tests.unit.checker.spoiling import (
    BOUGHT,
    GOOD,
    LISTED,
    Spoil,
    again,
    both,
    call,
    event,
    more_calls,
    order,
    placed,
    report,
    row,
    sent_again,
    shown,
    source,
    streams,
    tables,
    told,
    told_there,
    twin_there,
    venue,
    walked,
    without,
)


def named(evidence: Evidence) -> set[str]:
    return {violation.invariant for violation in check(evidence)}


def test_a_good_day_raises_nothing() -> None:
    assert check(GOOD) == []


SPOILED: dict[str, tuple[set[str], Spoil]] = {
    "an acknowledged order has no row": (
        {"S1", "S16"},
        more_calls(replace(placed("resting"), key="lost", answer={"id": "lost"})),
    ),
    "an acknowledged order has other terms": (
        {"S1", "S2"},
        call(told("resting", "place"), body={**asked(BOUGHT)}),
    ),
    "an acknowledged cancel was never recorded": (
        {"S1"},
        more_calls(Call("cancel", ANN, 2e9, 2e9, "ok", order_id="resting", status=202, answer={})),
    ),
    "a key has two orders": (
        {"S2", "S13", "S14"},
        lambda evidence: tables(
            evidence,
            orders=[
                *evidence.tables.orders,
                replace(
                    BOUGHT,
                    order_id="twin",
                    filled_shares=0,
                    executed_shares=0,
                    filled_notional_cents=0,
                    matched_shares=0,
                    status="cancelled",
                    external_order_id="X-twin",
                ),
            ],
            keys=[*evidence.tables.keys, replace(evidence.tables.keys[0], order_id="twin")],
        ),
    ),
    "a key is answered with another user's order": (
        {"S2", "S15", "S1"},
        more_calls(again("bought", user="bob")),
    ),
    "another body is answered like the first": (
        {"S2", "S1"},
        more_calls(again("bought", body={**asked(BOUGHT), "numShares": 11})),
    ),
    "its own body is called another": (
        {"S2"},
        more_calls(
            again("bought", outcome="fail", status=422, answer={"code": "idempotency-key-reused"})
        ),
    ),
    "a definitive answer changes": (
        {"S2"},
        more_calls(again("bought", answer=shown("bought", 4))),
    ),
    "a repeat is sent with other terms": ({"S3"}, sent_again(price_cents=10_099)),
    "a repeat is sent with another deadline": ({"S3"}, sent_again(send_by_ms=1)),
    "the exchange has an order under an id that is not ours": (
        {"S3", "S4"},
        twin_there("unknown-here"),
    ),
    "a placement arrives before its row is written": (
        {"S4"},
        venue(
            placements=lambda placements: [
                Received(placements[0].placement, placements[0].at_ms - 5_000),
                *placements[1:],
            ]
        ),
    ),
    "a placement arrives of an order that was never written": (
        {"S4"},
        sent_again(client_order_id="unwritten"),
    ),
    "a version is left out": ({"S5", "S14"}, without("events", event("cancelled", 3))),
    "an order begins filled": (
        {"S5"},
        row("events", event("resting", 1), order=shown("resting", 1, status="filled")),
    ),
    "what has ended goes on": (
        {"S5"},
        both(
            row("events", event("bought", 4), kind="cancel-requested"),
            row("events", event("bought", 3), order=shown("bought", 3, status="cancelled")),
            call(told("bought", "read"), answer=shown("bought", 3, status="cancelled")),
        ),
    ),
    "an order is filled above its quantity": (
        {"S6", "S13", "S14"},
        row("orders", order("bought"), filled_shares=11),
    ),
    "a filled order is not called filled": (
        {"S6", "S13", "S14"},
        row("orders", order("bought"), status="cancelled"),
    ),
    "an order is called filled that is not": (
        {"S6", "S11", "S13", "S14", "L2"},
        row("orders", order("resting"), status="filled"),
    ),
    "fewer shares are filled than before": (
        {"S6", "S15"},
        row("events", event("bought", 3), order=shown("bought", 3, filledShares=11)),
    ),
    "an execution is not booked": ({"S7", "S6", "S13"}, without("reports", report("E-1"))),
    "an execution is booked twice": (
        {"S7"},
        lambda evidence: tables(
            evidence,
            reports=[
                *evidence.tables.reports,
                replace(
                    evidence.tables.reports[0],
                    report_id="E-1-again",
                    shares=0,
                    price_cents=0,
                    booked_shares=0,
                    booked_cents=0,
                ),
            ],
        ),
    ),
    "an execution is booked on another order": (
        {"S7", "S6", "S8", "S12", "S13"},
        row("reports", report("E-1"), order_id="cancelled"),
    ),
    "a bust is not booked": ({"S7", "S6", "S13"}, without("reports", report("B-E-4"))),
    "an execution is booked that nobody told": (
        {"S7"},
        venue(messages=lambda messages: messages[:-1]),
    ),
    "a market order is sent below its collar": (
        {"S8"},
        row("keys", order("busted"), last_price_cents=9_999),
    ),
    "a customer pays more than the limit": (
        {"S8", "S6", "S12"},
        row("reports", report("E-1"), booked_cents=4 * 10_200),
    ),
    "a leg is missing": ({"S9"}, without("entries", source("E-1", 4))),
    "a leg of another amount": ({"S9"}, row("entries", source("E-1", 3), amount=1)),
    "a trigger is off": (
        {"S9"},
        lambda evidence: tables(evidence, guards=frozenset({("order_events", "append_only")})),
    ),
    "a balance is not the sum of its entries": (
        {"S10"},
        row("accounts", lambda one: True, cash_cents=1),
    ),
    "a position is not the sum of its entries": (
        {"S10"},
        row("positions", lambda one: True, shares=1),
    ),
    "more is held than there is": (
        {"S10"},
        row("events", event("bought", 1), held_cents=10_000_01),
    ),
    "a hold is never released": (
        {"S11"},
        lambda evidence: tables(
            evidence,
            holds=[*evidence.tables.holds, HoldRow(ANN, "cancelled", "USD", "IBM", 5, 5 * 9_900)],
        ),
    ),
    "a hold is released twice": ({"S11"}, row("positions", lambda one: True, held_shares=0)),
    "an open order holds nothing": ({"S11"}, without("holds", order("resting"))),
    "a fill costs another cent": (
        {"S12", "S10", "S13"},
        both(
            row("entries", source("E-1", 1), amount=-40_001),
            row("entries", source("E-1", 3), amount=40_001),
        ),
    ),
    "the shares of a fill are somebody else's": (
        {"S12", "S10", "S13"},
        row("entries", source("E-1", 2), account="suspense"),
    ),
    "the exchange calls an order cancelled that is filled here": (
        {"S13"},
        told_there("bought", status="cancelled"),
    ),
    "the exchange executed more": ({"S13"}, told_there("cancelled", cumulative_shares=4)),
    "a refused order is at the exchange": ({"S3", "S13"}, twin_there("refused")),
    "the events lag behind the row": (
        {"S14", "S15"},
        lambda evidence: tables(
            evidence,
            events=[
                one for one in evidence.tables.events if one.seq != len(evidence.tables.events)
            ],
            accounts=[
                replace(evidence.tables.accounts[0], event_seq=len(evidence.tables.events) - 1)
            ],
        ),
    ),
    "a link of the chain is broken": (
        {"S14"},
        lambda evidence: tables(
            evidence, broken=[BrokenLink("bought", "order_events 3 is changed")]
        ),
    ),
    "an event is by nobody": ({"S14"}, row("events", event("bought", 2), actor="")),
    "a row changes without an event": (
        {"S14"},
        row("orders", order("bought"), version=BOUGHT.version + 1),
    ),
    "an answer shows what is not on record": (
        {"S15"},
        call(told("bought", "read"), answer=shown("bought", 3, filledShares=3)),
    ),
    "a version is told that is not on record": (
        {"S15"},
        call(told("bought", "read"), answer=shown("bought", 3, version=9)),
    ),
    "a read steps back": (
        {"S15"},
        call(told("busted", "read"), answer=shown("busted", 1), order_id="busted"),
    ),
    "an acknowledged order is not found": (
        {"S15"},
        call(told("busted", "read"), outcome="fail", status=404, answer={}),
    ),
    "a walk leaves an order out": ({"S16"}, walked(LISTED[1:])),
    "a walk shows an order twice": ({"S16"}, walked([LISTED[0], *LISTED])),
    "a walk is not newest first": ({"S16"}, walked(LISTED[::-1])),
    "an order is never answered": (
        {"L1", "S14"},
        row("orders", order("resting"), status="pending_cancel"),
    ),
    "a resting order is not at the exchange": (
        {"L1", "S13"},
        told_there("resting", status="expired"),
    ),
    "an order that ended waits for executions": (
        {"L1", "L2"},
        row("orders", order("cancelled"), final_shares=4),
    ),
    "an open order has no workflow": (
        {"L2"},
        lambda evidence: replace(evidence, running=frozenset()),
    ),
    "an order that is over has a workflow": (
        {"L2"},
        lambda evidence: replace(evidence, running=evidence.running | {"bought"}),
    ),
    "a workflow has no row": (
        {"L2"},
        lambda evidence: replace(evidence, running=evidence.running | {"nobody"}),
    ),
    "a report is not fetched": ({"L3"}, lambda evidence: streams(evidence, pending=1)),
    "a report is parked": ({"L3"}, lambda evidence: streams(evidence, parked={"X-bought": 1})),
    "a report is a dead letter": ({"L3"}, lambda evidence: streams(evidence, dead={"X-bought": 1})),
    "the feed is behind": ({"L3"}, lambda evidence: streams(evidence, taken_seq=1)),
    "a bust waits for its execution": (
        {"L3"},
        lambda evidence: tables(evidence, waiting=[WaitingRow("bought", "B-9")]),
    ),
}


@pytest.mark.parametrize("what", SPOILED)
def test_what_is_wrong_is_called_by_its_name(what: str) -> None:
    expected, spoil = SPOILED[what]

    assert named(spoil(GOOD)) == expected


def test_every_invariant_is_broken_by_something() -> None:
    broken = set().union(*(expected for expected, _ in SPOILED.values()))

    assert broken == {f"S{number}" for number in range(1, 17)} | {"L1", "L2", "L3"}
