"""Waiting until a stack has come to rest after load and faults."""

import asyncio
import time

from devstack.stack import DevStack
from tests.checker.evidence import PAUSE_SECONDS, look
from tests.checker.history import History
from tests.checker.progress import stuck
from tests.checker.violations import Violation


async def settle(stack: DevStack, timeout_seconds: float = 60.0) -> list[Violation]:
    """Wait until nothing is under way; what is when the time is up violates L1, L2 or L3."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        left = stuck(await look(stack, History()))
        if not left or time.monotonic() > deadline:
            return left
        await asyncio.sleep(PAUSE_SECONDS)
