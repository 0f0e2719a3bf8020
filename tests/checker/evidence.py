"""All that the invariants are judged by, gathered from the running parts themselves."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from brokerage.contracts.ids import account_ref_for
from devstack.stack import DevStack
from tests.checker.engines import Streams, read_streams, running_orders
from tests.checker.history import Call, History
from tests.checker.postgres import Tables, read_tables
from tests.checker.progress import stuck
from tests.checker.venue import Venue, read_venue

TRIES: Final = 12
PAUSE_SECONDS: Final = 0.25


@dataclass(frozen=True)
class Evidence:
    """One moment: what clients were told, our tables, the exchange's record, the engines.

    `running` are the orders whose workflow runs.
    """

    calls: Sequence[Call] = ()
    tables: Tables = field(default_factory=Tables)
    venue: Venue = field(default_factory=Venue)
    running: frozenset[str] = frozenset()
    streams: Streams = field(default_factory=Streams)

    def about(self, *users: str) -> "Evidence":
        """What of it concerns these users; reports on their way are everybody's, and left out."""
        tables = self.tables.of(users)
        venue = self.venue.of({account_ref_for(user) for user in users})
        there = {one.order_id for one in venue.record.orders}
        streams = Streams(
            parked={one: count for one, count in self.streams.parked.items() if one in there},
            dead={one: count for one, count in self.streams.dead.items() if one in there},
            taken_seq=self.streams.taken_seq,
        )
        calls = [call for call in self.calls if call.user in users]
        mine = {order.order_id for order in tables.orders}
        return Evidence(calls, tables, venue, self.running & mine, streams)


async def gather(stack: DevStack, history: History, tries: int = TRIES) -> Evidence:
    """Everything as it is, best after `quiet.settle`.

    The market may go on: it is read again, up to `tries` times, until the exchange did nothing
    meanwhile and nothing is under way; what then still is, is evidence.
    """
    for _ in range(tries):
        found = await look(stack, history)
        if not stuck(found) and _venue(stack) == found.venue:
            break
        await asyncio.sleep(PAUSE_SECONDS)
    return found


async def look(stack: DevStack, history: History) -> Evidence:
    """Everything once, part after part; the exchange first, so that ours can be no older."""
    venue = _venue(stack)
    tables = await read_tables(stack.env["SHERWOOD_DATABASE_URL"])
    running = await running_orders(stack.env, [order.order_id for order in tables.orders])
    streams = await read_streams(stack.env)
    return Evidence(list(history.calls), tables, venue, running, streams)


def _venue(stack: DevStack) -> Venue:
    return read_venue(stack.home.root / "exchange" / "journal.db")
