"""The chain over all that was said and done for an order, and how to see that it is whole.

Each event and note of an order is a link: its hash covers the row, the digests of the report and
the ledger entries written with it, and the hash of the link before. The order's row keeps the
number of links and the newest hash. Operators' acts are a chain of their own, by the same rule.

The rule, scheme 1: SHA-256 over a JSON array, as `json.dumps` and Postgres's `json_build_array`
both write it, of the table's name and the columns below in this order. Times are microseconds since
1970, bytes hexadecimal, JSON columns the text that Postgres gives of them. A link's hash has the
scheme before it, one byte. Postgres seals, in the statement that writes; here it is checked.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, Final, Literal

Row = Mapping[str, Any]

SCHEME: Final = b"\x01"
DIGEST_BYTES: Final = 32
EVENTS: Final = "order_events"
NOTES: Final = "order_notes"
REPORTS: Final = "execution_reports"
ENTRIES: Final = "ledger_entries"
ORDERS: Final = "orders"
ACTS: Final = "operator_acts"
ACTS_END: Final = "operator_acts_end"

COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    EVENTS: (
        *("previous", "link", "user_id", "seq", "order_id", "step", "kind", "version", "actor"),
        *("address", "detail", "order", "at", "cash_cents", "held_cents", "position_shares"),
        *("held_shares", "report_id", "parts"),
    ),
    NOTES: (
        *("previous", "link", "user_id", "order_id", "version", "kind", "actor", "detail", "at"),
        *("report_id", "parts"),
    ),
    REPORTS: (
        *("report_id", "kind", "feed_seq", "order_id", "user_id", "symbol", "shares"),
        *("price_cents", "booked_shares", "booked_cents", "amends", "reported_at", "settled_at"),
    ),
    ENTRIES: (
        *("user_id", "source", "leg", "account", "asset", "amount", "cause", "order_id"),
        *("booked_at", "cost_cents"),
    ),
    ACTS: (
        *("previous", "act_id", "at", "operator", "address", "act", "subject", "before", "after"),
        "reason",
    ),
}
"""What is sealed of a row; `previous` is the hash of the link before it."""
TIMES: Final = frozenset({"at", "reported_at", "settled_at", "booked_at"})

_Seals = frozenset[bytes | None]
"""What a link may name as the one before it: its hash as it is stored, and as it should be."""
_Problem = Literal["changed", "missing", "inserted"]
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_SHOWN: Final = {
    "position": "side",
    "symbol": "symbol",
    "numShares": "shares",
    "priceInCents": "limit_price_cents",
    "timeInForce": "time_in_force",
    "externalOrderId": "external_order_id",
    "status": "status",
    "outcome": "outcome",
    "filledShares": "filled_shares",
    "filledNotionalInCents": "filled_notional_cents",
    "reason": "reason",
    "version": "version",
}
"""What an event shows of its order, and the column that still has it after the newest one."""


@dataclass(frozen=True, slots=True)
class OrderTrail:
    """The rows of one order, each with the columns of its table.

    `events` and `notes` in any order; `reports` and `entries` are all that name the order, and all
    that its links name.
    """

    order: Row
    events: Sequence[Row]
    notes: Sequence[Row]
    reports: Sequence[Row]
    entries: Sequence[Row]


@dataclass(frozen=True, slots=True)
class Tampered:
    """A row that is not as it was written.

    Of a link that was written anew with a hash of its own, the one after it is told: that cannot be
    sealed anew without the rest of the chain, up to the order's row.
    """

    table: str
    row: str
    problem: _Problem


def digest(table: str, row: Row) -> bytes:
    """The digest of a row of one of the tables in `COLUMNS`."""
    fields = [table, *(_plain(row[column]) for column in COLUMNS[table])]
    return sha256(json.dumps(fields, ensure_ascii=False).encode()).digest()


def seal(table: str, row: Row, previous: bytes | None) -> bytes:
    """The hash of a link that follows the one with the hash `previous`."""
    return SCHEME + digest(table, {**row, "previous": previous})


def source_of(row: Row) -> str:
    """The source of the ledger entries that a link wrote: its report, or the order's step."""
    return row["report_id"] or f"{row['order_id']}:{row.get('step')}"


def tampered_rows(trail: OrderTrail) -> list[Tampered]:
    """Every row of the order that is not as it was written, as far as the chain can tell.

    What is from before there was a chain is passed over.
    """
    check = _OrderCheck(trail)
    check.links()
    check.unchained()
    check.unclaimed()
    check.order()
    return check.found


class ActsCheck:
    """The same for operators' acts, given in parts, ascending."""

    def __init__(self) -> None:
        self.found: list[Tampered] = []
        self._seals: _Seals = frozenset({None})
        self._last = 0

    def look_at(self, acts: Iterable[Row]) -> None:
        """Go on with these."""
        for act in acts:
            number = act["act_id"]
            if act["hash"] is None and self._seals == {None}:
                self._last = number  # from before there was a chain
                continue
            if number > self._last + 1:
                self._name("missing", *range(self._last + 1, number))
                self._seals = frozenset()
            own = frozenset(seal(ACTS, act, previous) for previous in self._seals)
            if self._seals and act["hash"] not in own:
                self._name("changed", number)
            self._seals, self._last = own | {act["hash"]}, number

    def end(self, act_id: int, newest: bytes | None) -> None:
        """The newest act is this one, by the table that keeps the end."""
        if act_id > self._last:
            self._name("missing", *range(self._last + 1, act_id + 1))
        elif act_id < self._last or newest not in self._seals:
            self.found.append(Tampered(ACTS_END, str(act_id), "changed"))

    def _name(self, problem: _Problem, *numbers: int) -> None:
        self.found += [Tampered(ACTS, str(number), problem) for number in numbers]


class _OrderCheck:
    """A link is believed where its own hash holds; then it tells what must have come with it."""

    def __init__(self, trail: OrderTrail) -> None:
        self._problems: dict[tuple[str, str], _Problem] = {}
        self._order = trail.order
        self._reports = {row["report_id"]: row for row in trail.reports}
        self._entries: dict[str, dict[int, Row]] = defaultdict(dict)
        for row in trail.entries:
            self._entries[row["source"]][row["leg"]] = row
        self._links: dict[int, list[tuple[str, Row]]] = defaultdict(list)
        self._unchained: list[Row] = []
        for table, rows in ((EVENTS, trail.events), (NOTES, trail.notes)):
            for row in rows:
                if row["link"] is None:
                    self._unchained.append(row)
                else:
                    self._links[row["link"]].append((table, row))
        self._anywhere: _Seals = frozenset(
            row["hash"] for links in self._links.values() for _, row in links
        )
        self._seals: _Seals = frozenset({None})
        self._in_doubt = False
        self._version = len(self._unchained)
        self._gap: list[int] = []
        self._newest_event: Row | None = None

    @property
    def found(self) -> list[Tampered]:
        """What is known so far, each row once."""
        return [Tampered(*where, problem) for where, problem in self._problems.items()]

    def links(self) -> None:
        """Every link is there, once, whole, after the one before; the order's row has the last."""
        count, newest = self._order["links"], self._order["trail_hash"]
        present = max((number for number in self._links if number <= count), default=0)
        while present + 1 in self._links:
            present += 1
        after = {0: self._seals}
        for number in range(1, present + 1):
            self._look_at(number)
            after[number] = self._seals
        end = count if newest in after.get(count, ()) else None
        if end is None and newest in after[present]:
            end = present
        if end is None and present < count:
            self._gap += range(present + 1, count + 1)
            self._name_gap(self._order["version"])
        elif end != count:
            self._name(ORDERS, str(self._order["order_id"]), "changed")
        beyond = count if end is None else end
        for number in [number for number in self._links if number > beyond]:
            for table, row in self._links[number]:
                self._name(table, _key(row), "inserted")

    def unchained(self) -> None:
        """What has no link is from before the first one."""
        first = min((row["version"] for _, row in self._links.get(1, ())), default=None)
        for row in self._unchained:
            if first is not None and row["version"] >= first:
                self._name(EVENTS, f"{row['order_id']} version {row['version']}", "inserted")

    def unclaimed(self) -> None:
        """What names the order came with one of its links; known where all links are believed."""
        if self._problems or self._unchained:
            return
        for report_id in self._reports:
            self._name(REPORTS, report_id, "inserted")
        for source, legs in self._entries.items():
            for leg in legs:
                self._name(ENTRIES, f"{source} leg {leg}", "inserted")

    def order(self) -> None:
        """The order's row is what its newest event shows."""
        if self._problems or self._newest_event is None:
            return
        shown = json.loads(self._newest_event["order"])
        if any(shown[name] != self._order[column] for name, column in _SHOWN.items()):
            self._name(ORDERS, str(self._order["order_id"]), "changed")

    def _look_at(self, number: int) -> None:
        links = self._links.get(number)
        if links is None:
            self._gap.append(number)
            self._seals = frozenset()
            return
        (table, row), *others = sorted(
            links, key=lambda link: not self._follows(link[0], link[1], self._seals)
        )
        for other_table, other in others:
            self._name(other_table, _key(other), "inserted")
        self._name_gap(row["version"] - (table == EVENTS))
        self._version = row["version"]
        came_with = {**row, "parts": self._parts(row)}
        own = {seal(table, one, before) for one in (row, came_with) for before in self._seals}
        # After a gap nothing can be said of it; after a link that was changed, it may follow one
        # that now stands elsewhere.
        follows = not self._seals or self._follows(table, row, self._seals)
        if follows or (self._in_doubt and self._follows(table, row, self._anywhere)):
            self._check_parts(row)
            self._newest_event = row if table == EVENTS else self._newest_event
            self._in_doubt = False
        else:
            self._name(table, _key(row), "changed")
            self._in_doubt = True
        self._seals = frozenset({row["hash"], *own})

    def _follows(self, table: str, row: Row, seals: _Seals) -> bool:
        return any(seal(table, row, before) == row["hash"] for before in seals)

    def _parts(self, row: Row) -> bytes | None:
        """What the digests of the report and the entries of a link are now."""
        report = self._reports.get(row["report_id"])
        legs = self._entries.get(source_of(row), {})
        digests = [digest(REPORTS, report)] if report else []
        digests += [digest(ENTRIES, legs[leg]) for leg in sorted(legs)]
        return b"".join(digests) or None

    def _check_parts(self, row: Row) -> None:
        parts = row["parts"] or b""
        sealed = [parts[at : at + DIGEST_BYTES] for at in range(0, len(parts), DIGEST_BYTES)]
        if (report_id := row["report_id"]) is not None:
            of_report, *sealed = sealed or [b""]
            self._check_part(REPORTS, report_id, self._reports.pop(report_id, None), of_report)
        source = source_of(row)
        legs = self._entries.pop(source, {})
        for leg, sealed_leg in enumerate(sealed, start=1):
            self._check_part(ENTRIES, f"{source} leg {leg}", legs.pop(leg, None), sealed_leg)
        for leg in legs:
            self._name(ENTRIES, f"{source} leg {leg}", "inserted")

    def _check_part(self, table: str, key: str, row: Row | None, sealed: bytes) -> None:
        if row is None:
            self._name(table, key, "missing")
        elif digest(table, row) != sealed:
            self._name(table, key, "changed")

    def _name_gap(self, version: int) -> None:
        """Name the links that are missing; the versions tell how many of them were events."""
        events = version - self._version
        for number in self._gap:
            key = f"{self._order['order_id']} link {number}"
            self._name(EVENTS if events > 0 else NOTES, key, "missing")
            events -= 1
        self._gap = []

    def _name(self, table: str, row: str, problem: _Problem) -> None:
        self._problems[table, row] = problem


def _key(row: Row) -> str:
    return f"{row['order_id']} link {row['link']}"


def _plain(value: object) -> int | str | None:
    if value is None or isinstance(value, int | str):
        return value
    if isinstance(value, datetime):
        return (value - _EPOCH) // _MICROSECOND
    return value.hex() if isinstance(value, bytes) else str(value)
