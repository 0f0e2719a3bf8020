"""How long it takes until things are as before, seen from outside: by clients, in Postgres, in the
exchange's journal.
"""

import asyncio
import random
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import cycle
from typing import Any, Final

import asyncpg

from devstack.background import background
from devstack.process import GOOD
from devstack.stack import DevStack
from tests.checker.history import RecordingClient
from tests.checker.venue import MEMBER
from tests.soak.load import Load, User
from tests.support.eventually import comes_true
from tests.support.trading import RESTING, Order

PROBE_SECONDS: Final = 0.15
"""Between the first two placements of the probe, which does not wait for one to be answered."""
PROBE_SECONDS_MAX: Final = 1.0
"""Pauses grow to this: what is slow for want of processor time must not be asked ever more."""
GIVE_UP_SECONDS: Final = 45.0
CALM_SECONDS: Final = 2.0
"""An order that waits longer for its answer shows that something is not as usual."""
DATABASE_SECONDS: Final = 2.0
PROBED: Final = ("SPY", "IBM", "AIG", "BAC", "AAPL", "MSFT", "GE", "META", "PFE")

UNRESOLVED: Final = """
SELECT EXISTS (SELECT FROM orders
               WHERE (status = 'pending' AND created_at < $1)
                  OR (status = 'pending_cancel' AND updated_at < $1))
"""
SETTLED: Final = "SELECT count(DISTINCT feed_seq) FROM execution_reports WHERE feed_seq <= $1"


@dataclass(frozen=True, slots=True)
class Measured:
    """Seconds until the process was well, a new order was taken, every order that waited for an
    answer when it happened had one, and all was booked that the exchange had told when the new
    order was taken.
    """

    back: float | None
    writes: float | None
    resolved: float | None
    caught_up: float | None


class Recovery:
    """Measures from a moment on. `probe` are users that place orders to see whether one is taken;
    `load` knows who waits for an answer.
    """

    def __init__(self, stack: DevStack, load: Load, probe: Sequence[User]) -> None:
        self._stack = stack
        self._load = load
        self._placing = cycle([(user, symbol) for symbol in PROBED for user in probe])
        self._tasks: asyncio.TaskGroup | None = None
        self._turn = asyncio.Lock()
        self._database: asyncpg.Connection[asyncpg.Record] | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Measure in this block; placements of the probe have their answer when it ends."""
        try:
            async with asyncio.TaskGroup() as self._tasks:
                yield
        finally:
            if self._database is not None:
                self._database.terminate()

    async def measure(self, since: float, killed: str | None = None) -> Measured:
        """Return how long each took from `since` (wall clock), None for over 45 s.

        `killed` is the process that was killed then, if any was: until it is back, nothing counts.
        """

        async def is_back() -> bool:
            return killed is None or self._stack.processes[killed].state in GOOD

        back = await _seconds_until(is_back, since)
        taken = asyncio.Event()
        told: list[int] = []

        async def writes() -> bool:
            return taken.is_set()

        async def is_resolved() -> bool:
            if any(began < since for began in self._load.undecided.values()):
                return False
            return await self._ask(UNRESOLVED, datetime.fromtimestamp(since, UTC)) is False

        async def has_caught_up() -> bool:
            if not taken.is_set():
                return False
            if not told:
                told.append(newest_told(self._stack))
            return await self._ask(SETTLED, told[0]) in told

        async with background(self._probe(taken)), asyncio.TaskGroup() as tasks:
            measuring = [
                tasks.create_task(_seconds_until(holds, since))
                for holds in (writes, is_resolved, has_caught_up)
            ]
        return Measured(back, *[task.result() for task in measuring])

    async def is_calm(self) -> bool:
        """True when every process is well and no order of before now waits for an answer."""
        if any(process.state not in GOOD for process in self._stack.processes.values()):
            return False
        at = datetime.fromtimestamp(time.time() - CALM_SECONDS, UTC)
        return await self._ask(UNRESOLVED, at) is False

    async def _probe(self, taken: asyncio.Event) -> None:
        """Place an order every now and then until one is taken; all are left to be answered."""
        assert self._tasks is not None
        pause_seconds = PROBE_SECONDS
        while not taken.is_set():
            user, symbol = next(self._placing)
            client = random.choice(user.clients)
            self._tasks.create_task(_place(client, {**RESTING, "symbol": symbol}, taken))
            await asyncio.sleep(pause_seconds)
            pause_seconds = min(1.2 * pause_seconds, PROBE_SECONDS_MAX)

    async def _ask(self, query: str, value: object) -> Any:
        """One value of Postgres; None while it does not answer."""
        try:
            async with asyncio.timeout(DATABASE_SECONDS), self._turn:
                if self._database is None or self._database.is_closed():
                    self._database = await asyncpg.connect(self._stack.env["SHERWOOD_DATABASE_URL"])
                return await self._database.fetchval(query, value)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            if self._database is not None:
                self._database.terminate()
            self._database = None
            return None


async def _seconds_until(holds: Callable[[], Awaitable[bool]], since: float) -> float | None:
    held = await comes_true(holds, since + GIVE_UP_SECONDS - time.time())
    return time.time() - since if held else None


async def _place(client: RecordingClient, body: Order, taken: asyncio.Event) -> None:
    answer = await client.place(body)
    if answer is not None and answer.status_code == 201:
        taken.set()


def newest_told(stack: DevStack) -> int:
    """The newest message about our orders that the exchange has told, by its journal."""
    journal = stack.home.root / "exchange" / "journal.db"
    with closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True, timeout=5.0)) as database:
        query = "SELECT coalesce(max(seq), 0) FROM messages WHERE member = ?"
        newest: int = database.execute(query, (MEMBER,)).fetchone()[0]
    return newest
