"""Starts from a loss, as an operator makes them, and whether everything adds up afterwards."""

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from bench.checks import check, in_flight
from bench.records import open_records
from devstack import backups, spawn
from devstack.errors import StackError
from devstack.stack import DevStack
from tests.support.eventually import eventually
from tests.support.running import ROOT, inherited

ADD_UP_SECONDS: Final = 60.0
RECOVER_SECONDS: Final = 180.0


OURS: Final = ("api", "executions", "orders-1", "feed-1", "feed-2", "gateway")
"""What must not run while Postgres is recovered."""


@asynccontextmanager
async def closed(stack: DevStack) -> AsyncIterator[None]:
    """Only the servers and the exchange run during the block."""
    async with asyncio.TaskGroup() as stops:
        for name in OURS:
            stops.create_task(stack.stop(name))
    try:
        yield
    finally:
        async with asyncio.TaskGroup() as starts:
            for name in OURS:
                starts.create_task(stack.start(name))


async def put_back(stack: DevStack, backup: Path) -> None:
    """Postgres is lost, and comes back as it was when the backup was made."""
    stack.kill("postgres")
    await stack.stop("postgres")
    await backups.put_back(stack.settings, stack.home, backup)
    await stack.start("postgres")


@asynccontextmanager
async def without_what_it_stored(stack: DevStack, server: str) -> AsyncIterator[None]:
    """The server goes down for the block, and comes back with nothing on its disk."""
    stack.kill(server)
    await stack.stop(server)
    shutil.rmtree(stack.home.root / server)
    try:
        yield
    finally:
        await stack.start(server)


async def recover(stack: DevStack, lost: str) -> str:
    """What `python -m workers.recover` says; repeated while no feed has come back, before which it
    does nothing. Raises `StackError` with it where it does not end well.
    """

    async def attempt() -> str:
        try:
            return await run_for(stack, "workers.recover", lost)
        except StackError as error:
            if "no feed runs" in str(error):
                raise AssertionError(str(error)) from error
            raise

    said: str = await eventually(attempt, "a feed runs", RECOVER_SECONDS)
    return said


async def open_for_orders(stack: DevStack) -> None:
    """Say that the kill switch, which was lost too, is to stop nobody."""

    async def attempt() -> None:
        try:
            await run_for(stack, "workers.kill_switch", "--level", "0", "--reason", "recovered")
        except StackError as error:
            raise AssertionError(str(error)) from error

    await eventually(attempt, "the kill switch is released", RECOVER_SECONDS)


async def run_for(stack: DevStack, *command: str) -> str:
    """What `python -m <command>` says of this stack. Raises `StackError` where it fails."""
    return await spawn.run(
        (sys.executable, "-m", *command), environment={**inherited(), **stack.env}, folder=ROOT
    )


async def adds_up(stack: DevStack) -> None:
    """Return once our books agree with the exchange's own record, and nothing is in flight."""
    async with open_records(stack.env) as records:

        async def agree() -> None:
            theirs = await records.theirs()
            ours = await records.ours()
            assert [str(one) for one in check(ours, theirs)] == []
            assert in_flight(ours) == []

        await eventually(agree, "the books agree with the exchange", ADD_UP_SECONDS)
