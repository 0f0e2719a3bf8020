"""`python -m tests.replay.dying_worker ADDRESS DATABASE_URL ACTIVITY`: killed at an activity.

Runs orders like the recorder, so that a history tells of a worker that died; says `polling` when
it begins.
"""

import asyncio
import os
import signal
import sys
from typing import Any

from temporalio import activity
from temporalio.client import Client

from tests.replay.worker import IDENTITY, worker_of
from tests.support.books import books_of_a_new_user


async def run(address: str, database_url: str, fatal: str) -> None:
    """Work until killed."""

    @activity.defn(name=fatal)
    async def die(argument: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    client = await Client.connect(address, identity=IDENTITY)
    async with (
        books_of_a_new_user(database_url) as books,
        worker_of(client, books, die),
    ):
        sys.stdout.write("polling\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(run(*sys.argv[1:4]))
