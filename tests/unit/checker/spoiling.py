"""Ways to spoil a good day: each takes evidence and gives it back with something wrong in it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from msgspec import structs

from tests.checker.evidence import Evidence
from tests.checker.history import Call
from tests.checker.venue import Received
from tests.unit.checker.good import good_day

Spoil = Callable[[Evidence], Evidence]
GOOD = good_day()


def row(table: str, which: Callable[[Any], bool], **changes: Any) -> Spoil:
    """Change the first row of a table that is so."""

    def spoil(evidence: Evidence) -> Evidence:
        rows = list(getattr(evidence.tables, table))
        index = next(index for index, one in enumerate(rows) if which(one))
        rows[index] = replace(rows[index], **changes)
        return tables(evidence, **{table: rows})

    return spoil


def without(table: str, which: Callable[[Any], bool]) -> Spoil:
    """Take the rows of a table away that are so."""
    return lambda evidence: tables(
        evidence, **{table: [one for one in getattr(evidence.tables, table) if not which(one)]}
    )


def tables(evidence: Evidence, **changes: Any) -> Evidence:
    return replace(evidence, tables=replace(evidence.tables, **changes))


def venue(**changes: Callable[[Any], Any]) -> Spoil:
    """Change parts of the exchange's record."""

    def spoil(evidence: Evidence) -> Evidence:
        new = {name: change(getattr(evidence.venue, name)) for name, change in changes.items()}
        return replace(evidence, venue=replace(evidence.venue, **new))

    return spoil


def call(which: Callable[[Call], bool], **changes: Any) -> Spoil:
    """Change the first call that is so."""

    def spoil(evidence: Evidence) -> Evidence:
        calls = list(evidence.calls)
        index = next(index for index, one in enumerate(calls) if which(one))
        calls[index] = replace(calls[index], **changes)
        return replace(evidence, calls=calls)

    return spoil


def more_calls(*calls: Call) -> Spoil:
    return lambda evidence: replace(evidence, calls=[*evidence.calls, *calls])


def order(order_id: str) -> Callable[[Any], bool]:
    return lambda one: bool(one.order_id == order_id)


def report(report_id: str) -> Callable[[Any], bool]:
    return lambda one: bool(one.report_id == report_id)


def event(order_id: str, version: int) -> Callable[[Any], bool]:
    return lambda one: bool((one.order_id, one.version) == (order_id, version))


def source(name: str, leg: int) -> Callable[[Any], bool]:
    return lambda one: bool((one.source, one.leg) == (name, leg))


def told(order_id: str, op: str) -> Callable[[Call], bool]:
    return lambda one: one.op == op and any(each["id"] == order_id for each in one.orders_told())


def shown(order_id: str, at_version: int, **changes: Any) -> dict[str, Any]:
    events = GOOD.tables.events
    return {**next(one.order for one in events if event(order_id, at_version)(one)), **changes}


def placed(order_id: str) -> Call:
    return next(one for one in GOOD.calls if told(order_id, "place")(one))


def again(order_id: str, **changes: Any) -> Call:
    """The same placement, repeated after everything else."""
    return replace(placed(order_id), invoked_at=2e9, returned_at=2e9 + 1, replayed=True, **changes)


def walked(items: Sequence[Any]) -> Spoil:
    return call(lambda one: one.op == "list", answer={"items": [*items], "nextCursor": None})


LISTED = next(one for one in GOOD.calls if one.op == "list").answer["items"]
BOUGHT = next(one for one in GOOD.tables.orders if one.order_id == "bought")
SENT = GOOD.venue.placements[0]


def sent_again(**changes: Any) -> Spoil:
    """One more placement of the first order, with other terms."""
    one = Received(structs.replace(SENT.placement, **changes), SENT.at_ms + 1)
    return venue(placements=lambda placements: [*placements, one])


def told_there(order_id: str, **changes: Any) -> Spoil:
    """The exchange's word on an order is another."""

    def spoil(evidence: Evidence) -> Evidence:
        record = evidence.venue.record
        reports = [
            structs.replace(one, **changes) if one.client_order_id == order_id else one
            for one in record.orders
        ]
        return venue(record=lambda _: replace(record, orders=reports))(evidence)

    return spoil


def twin_there(client_order_id: str) -> Spoil:
    """The exchange has the first order a second time, under this id of ours."""

    def spoil(evidence: Evidence) -> Evidence:
        record = evidence.venue.record
        twin = structs.replace(
            record.orders[0],
            client_order_id=client_order_id,
            order_id="X-twin",
            cumulative_shares=0,
            cumulative_notional_cents=0,
        )
        return venue(record=lambda _: replace(record, orders=[*record.orders, twin]))(evidence)

    return spoil


def both(*spoils: Spoil) -> Spoil:
    def spoil(evidence: Evidence) -> Evidence:
        for one in spoils:
            evidence = one(evidence)
        return evidence

    return spoil


def streams(evidence: Evidence, **changes: Any) -> Evidence:
    return replace(evidence, streams=replace(evidence.streams, **changes))
