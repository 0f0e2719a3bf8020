"""The exchange's own record of us, read from its journal: what it took, executed and told."""

import sqlite3
from collections.abc import Collection, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from bench.checks import ExchangeRecord
from exchange.inputs import Input, Place
from exchange.protocol import MemberMessage, Placement
from exchange.records import ExecutionRecord, Order

MEMBER: Final = "sherwood"
"""The broker, as the exchange knows it."""


@dataclass(frozen=True, slots=True)
class Received:
    """A placement that the exchange took in, repeats too; and when, by its clock (ms)."""

    placement: Placement
    at_ms: int


@dataclass(frozen=True)
class Venue:
    """One moment of it. `record` are orders and executions as they stand, `messages` all that the
    feed ever told of them, `placements` all that were received, each oldest first.
    """

    record: ExchangeRecord = field(default_factory=ExchangeRecord)
    messages: Sequence[MemberMessage] = ()
    placements: Sequence[Received] = ()

    def of(self, accounts: Collection[str]) -> "Venue":
        """What of it concerns these accounts, as the exchange knows them."""
        record = ExchangeRecord(
            [one for one in self.record.orders if one.account in accounts],
            [one for one in self.record.executions if one.account in accounts],
        )
        messages = [one for one in self.messages if one.account in accounts]
        placements = [one for one in self.placements if one.placement.account in accounts]
        return Venue(record, messages, placements)


def read_venue(journal: Path) -> Venue:
    """Read the journal of an exchange, which may be running; its queries may be told to lie."""
    with closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True, timeout=30.0)) as database:
        database.execute("BEGIN")
        orders = database.execute(
            "SELECT body FROM orders WHERE member = ? ORDER BY number", (MEMBER,)
        )
        executions = database.execute(
            "SELECT body FROM executions WHERE member = ? AND NOT busted ORDER BY seq", (MEMBER,)
        )
        record = ExchangeRecord(
            [_order(body).report() for (body,) in orders],
            [_execution(body).execution for (body,) in executions],
        )
        messages = database.execute(
            "SELECT body FROM messages WHERE member = ? ORDER BY seq", (MEMBER,)
        )
        inputs = database.execute(
            "SELECT at_ms, input FROM inputs WHERE member = ? ORDER BY number", (MEMBER,)
        )
        received = ((at_ms, _input(body)) for at_ms, body in inputs)
        return Venue(
            record,
            [_message(body) for (body,) in messages],
            [Received(one.placement, at_ms) for at_ms, one in received if isinstance(one, Place)],
        )


_order = msgspec.json.Decoder(Order).decode
_execution = msgspec.json.Decoder(ExecutionRecord).decode
_message = msgspec.json.Decoder(MemberMessage).decode
_input = msgspec.json.Decoder(Input).decode
