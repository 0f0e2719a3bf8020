"""Waiting until a stack has come to rest after load and faults."""

import asyncio
import sqlite3
import time
from typing import Final

import asyncpg
import nats.errors
from temporalio.service import RPCError

from devstack.stack import DevStack
from tests.checker.evidence import PAUSE_SECONDS, look
from tests.checker.history import History
from tests.checker.progress import stuck
from tests.checker.violations import Violation

AWAY: Final = (
    *(OSError, RPCError, RuntimeError, nats.errors.Error, sqlite3.Error),
    *(asyncpg.PostgresError, asyncpg.InterfaceError),
)
"""How the drivers say that a part is not back yet; a `RuntimeError` is Temporal's."""
SETTLE_SECONDS: Final = 120.0
"""An order of unknown outcome takes its send-by and the exchange's visibility, with pauses that
grow to ten seconds; and everything that faults held up comes at once.
"""


async def settle(stack: DevStack, timeout_seconds: float = SETTLE_SECONDS) -> list[Violation]:
    """Wait until nothing is under way; what is when the time is up violates L1, L2 or L3."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        try:
            left = stuck(await look(stack, History()))
        except AWAY as error:
            left = [Violation("L1", "the stack", f"a part of it does not answer: {error!r}")]
        if not left or time.monotonic() > deadline:
            return left
        await asyncio.sleep(PAUSE_SECONDS)
