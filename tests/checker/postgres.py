"""Our tables, row by row, read with SQL of the checker's own.

Of the code under test only the verifier of the trail's chain is asked: what it seals is its own.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final, TypeVar
from uuid import UUID

import asyncpg

from brokerage.domain.trail import tampered_rows
from brokerage.storage.trail_reads import trails_of


@dataclass(frozen=True, slots=True)
class AccountRow:
    """A user's cash, and the sequence of the user's last order event."""

    user_id: str
    cash_cents: int
    held_cents: int
    event_seq: int


@dataclass(frozen=True, slots=True)
class PositionRow:
    """A user's shares of a symbol."""

    user_id: str
    symbol: str
    shares: int
    held_shares: int


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A claimed idempotency key, and the answer kept for it."""

    user_id: str
    key: str
    order_id: str
    claimed_at: datetime
    last_price_cents: int
    reply_status: int | None
    reply_body: str | None


@dataclass(frozen=True, slots=True)
class OrderRow:
    """An order."""

    user_id: str
    order_id: str
    idempotency_key: str
    symbol: str
    side: str
    order_type: str
    time_in_force: str
    shares: int
    limit_price_cents: int | None
    price_cents: int
    status: str
    filled_shares: int
    filled_notional_cents: int
    executed_shares: int
    matched_shares: int
    final_shares: int | None
    end_status: str | None
    external_order_id: str | None
    reason: str | None
    version: int
    created_at: datetime

    @property
    def sign(self) -> int:
        """1 for a buy, -1 for a sell: what a share of it does to the position."""
        return 1 if self.side == "buy" else -1

    @property
    def is_open(self) -> bool:
        """True for an order that has not ended."""
        return self.status in OPEN

    @property
    def is_settled(self) -> bool:
        """True for an order that has ended with all of its executions booked."""
        return not self.is_open and self.executed_shares >= (self.final_shares or 0)


OPEN: Final = frozenset({"pending", "submitted", "partially_filled", "pending_cancel"})
IN_FLIGHT: Final = frozenset({"pending", "pending_cancel"})
"""Those of them that wait for an answer of the exchange."""


@dataclass(frozen=True, slots=True)
class HoldRow:
    """What an order keeps from being spent twice."""

    user_id: str
    order_id: str
    asset: str
    symbol: str
    shares: int
    amount: int


@dataclass(frozen=True, slots=True)
class EntryRow:
    """A leg of a ledger transaction."""

    user_id: str
    source: str
    leg: int
    account: str
    asset: str
    amount: int
    order_id: str | None


@dataclass(frozen=True, slots=True)
class ReportRow:
    """A report of the exchange that is booked; of a bust or correction: what stands after it."""

    report_id: str
    kind: str
    feed_seq: int
    order_id: str
    user_id: str
    symbol: str
    shares: int
    price_cents: int
    booked_shares: int
    booked_cents: int
    amends: str | None

    @property
    def allocation(self) -> tuple[int, int, int, int]:
        """The customer's shares and cents, and those of the whole execution."""
        whole = (self.shares, self.shares * self.price_cents)
        return (self.booked_shares, self.booked_cents, *whole)


@dataclass(frozen=True, slots=True)
class EventRow:
    """An order event: `order` is the order as clients see it right after; balances likewise."""

    user_id: str
    seq: int
    order_id: str
    kind: str
    version: int
    actor: str
    order: Mapping[str, Any]
    at: datetime
    cash_cents: int
    held_cents: int
    position_shares: int
    held_shares: int


@dataclass(frozen=True, slots=True)
class WaitingRow:
    """A bust or correction whose execution is not booked yet."""

    order_id: str
    report_id: str


@dataclass(frozen=True, slots=True)
class BrokenLink:
    """A row of an order's trail that is not as it was written, by the verifier of its chain."""

    order_id: str
    what: str


@dataclass(frozen=True)
class Tables:
    """One moment of the database. `guards` are the triggers in force: table and name."""

    accounts: Sequence[AccountRow] = ()
    positions: Sequence[PositionRow] = ()
    keys: Sequence[KeyRow] = ()
    orders: Sequence[OrderRow] = ()
    holds: Sequence[HoldRow] = ()
    entries: Sequence[EntryRow] = ()
    reports: Sequence[ReportRow] = ()
    events: Sequence[EventRow] = ()
    waiting: Sequence[WaitingRow] = ()
    broken: Sequence[BrokenLink] = ()
    guards: frozenset[tuple[str, str]] = frozenset()

    def of(self, users: Collection[str]) -> "Tables":
        """The rows of these users."""
        orders = [one for one in self.orders if one.user_id in users]
        ids = {one.order_id for one in orders}
        return Tables(
            accounts=[one for one in self.accounts if one.user_id in users],
            positions=[one for one in self.positions if one.user_id in users],
            keys=[one for one in self.keys if one.user_id in users],
            orders=orders,
            holds=[one for one in self.holds if one.user_id in users],
            entries=[one for one in self.entries if one.user_id in users],
            reports=[one for one in self.reports if one.user_id in users],
            events=[one for one in self.events if one.user_id in users],
            waiting=[one for one in self.waiting if one.order_id in ids],
            broken=[one for one in self.broken if one.order_id in ids],
            guards=self.guards,
        )

    def chains(self) -> Iterator[list[ReportRow]]:
        """Each execution with the busts and corrections of it, in the order of the feed."""
        chains = {one.report_id: [one] for one in self.reports if one.kind == "fill"}
        for report in sorted(self.reports, key=lambda one: one.feed_seq):
            if report.amends in chains:
                chains[report.amends].append(report)
        yield from chains.values()


Row = TypeVar("Row")
GUARDS: Final = """
SELECT relname, tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
WHERE NOT tgisinternal AND tgenabled = 'O'
"""


async def read_tables(database_url: str) -> Tables:
    """All of it, in one snapshot."""
    database = await asyncpg.connect(database_url)
    try:
        async with database.transaction(isolation="repeatable_read", readonly=True):
            # First: the chain is over the JSON as it is stored.
            broken = await _broken_links(database)
            await database.set_type_codec(
                "jsonb", schema="pg_catalog", encoder=json.dumps, decoder=json.loads
            )
            return Tables(
                accounts=await _rows(database, AccountRow, "accounts"),
                positions=await _rows(database, PositionRow, "positions"),
                keys=await _rows(database, KeyRow, "idempotency_keys"),
                orders=await _rows(database, OrderRow, "orders"),
                holds=await _rows(database, HoldRow, "holds"),
                entries=await _rows(database, EntryRow, "ledger_entries"),
                reports=await _rows(database, ReportRow, "execution_reports"),
                events=await _rows(database, EventRow, "order_events"),
                waiting=await _rows(database, WaitingRow, "waiting_amendments"),
                broken=broken,
                guards=frozenset(tuple(row) for row in await database.fetch(GUARDS)),
            )
    finally:
        await database.close()


async def _broken_links(database: Any) -> list[BrokenLink]:
    orders = await database.fetch("SELECT user_id, order_id FROM orders")
    trails = await trails_of(
        database, [one["user_id"] for one in orders], [one["order_id"] for one in orders]
    )
    return [
        BrokenLink(str(trail.order["order_id"]), f"{one.table} {one.row} is {one.problem}")
        for trail in trails
        for one in tampered_rows(trail)
    ]


async def _rows(database: "asyncpg.Connection[Any]", kind: type[Row], table: str) -> list[Row]:
    columns = ", ".join(f'"{field.name}"' for field in fields(kind))  # type: ignore[arg-type]
    found = await database.fetch(f"SELECT {columns} FROM {table}")
    return [kind(**{name: _plain(value) for name, value in row.items()}) for row in found]


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, UUID) else value
