"""Processes of ours, started as `make up` starts them."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import httpx
import psutil

from devstack import spawn
from tests.support.eventually import eventually

ROOT = Path(__file__).parents[2]
READY_SECONDS: Final = 90.0
END_SECONDS: Final = 60.0
"""A process takes up to 14 s for an orderly end, and a busy machine its own time on top."""


class Running:
    """One process; its output is in `log`."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self.log = log

    @property
    def ended(self) -> bool:
        """True once it is gone."""
        return self._process.returncode is not None

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    def said(self) -> str:
        """The end of its output."""
        return self.log.read_text()[-3000:]

    async def stop(self) -> int:
        """Ask it to stop; returns its exit code."""
        if not self.ended:
            self._process.send_signal(signal.SIGTERM)
        return await self.end()

    async def kill(self) -> int:
        """End it as a crash would."""
        if not self.ended:
            self._process.kill()
        return await self.end()

    def pause(self) -> None:
        """Freeze it: its connections stay open and nothing answers."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._process.send_signal(signal.SIGCONT)

    async def end(self) -> int:
        """Wait for its end; returns its exit code."""
        async with asyncio.timeout(END_SECONDS):
            return await self._process.wait()


async def start(
    *command: str, environment: Mapping[str, str], ready_url: str | None, log: Path
) -> Running:
    """Start `python -m <command>`; return when `ready_url` (if any) answers 200."""
    with log.open("ab") as output:
        process = await spawn.spawn(
            (sys.executable, "-m", *command),
            environment={**inherited(), **environment},
            folder=ROOT,
            log=output.fileno(),
            account=None,
            death_signal=signal.SIGKILL,
        )
    running = Running(process, log)

    async def ready() -> None:
        if running.ended:
            raise RuntimeError(f"{command} ended:\n{running.said()}")
        try:
            status = (await client.get(ready_url or "")).status_code
        except httpx.HTTPError as error:
            raise AssertionError(repr(error)) from error
        assert status == 200

    if ready_url is not None:
        async with httpx.AsyncClient(trust_env=False, timeout=2) as client:
            try:
                await eventually(ready, f"{command} is ready", READY_SECONDS)
            except BaseException:
                await running.kill()
                raise
    return running


@asynccontextmanager
async def running(
    *command: str, environment: Mapping[str, str], ready_url: str | None, log: Path
) -> AsyncIterator[Running]:
    """Run it as long as the block."""
    process = await start(*command, environment=environment, ready_url=ready_url, log=log)
    try:
        yield process
    finally:
        await process.kill()


def has_ended(process: psutil.Process) -> bool:
    """True once it is gone; where nobody reaps orphans, a dead one stays a zombie."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # in between
        return True


def inherited() -> dict[str, str]:
    """What a process needs of our environment, without what could change its settings."""
    return {
        name: value
        for name, value in os.environ.items()  # noqa: TID251 - a test starts processes
        if not name.startswith(("SHERWOOD_", "EXCHANGE_"))
    }
