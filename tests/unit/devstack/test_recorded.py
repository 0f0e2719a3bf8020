import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from devstack import spawn
from devstack.home import Home
from devstack.identity import identity_of
from devstack.recorded import kill_recorded


@pytest.fixture
async def child(tmp_path: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await spawn.spawn(
        (sys.executable, "-c", "import time; time.sleep(600)"),
        environment={},
        folder=tmp_path,
        log=asyncio.subprocess.DEVNULL,
        account=None,
        death_signal=signal.SIGKILL,
    )
    yield process
    await spawn.kill_session(process)


def record(home: Home, pid: int | None, started_at: float | None) -> None:
    home.write_state({"processes": [{"name": "nats", "pid": pid, "startedAt": started_at}]})


async def test_a_recorded_process_is_killed_by_its_name(
    tmp_path: Path, child: asyncio.subprocess.Process
) -> None:
    who = identity_of(child.pid)
    assert who is not None
    record(Home(tmp_path), who.pid, who.started_at)

    assert kill_recorded(Home(tmp_path), "nats") == child.pid

    async with asyncio.timeout(60):
        assert await child.wait() == -signal.SIGKILL


async def test_who_has_the_pid_of_an_ended_process_now_is_left_alone(
    tmp_path: Path, child: asyncio.subprocess.Process
) -> None:
    who = identity_of(child.pid)
    assert who is not None
    record(Home(tmp_path), who.pid, who.started_at - 3600)

    assert kill_recorded(Home(tmp_path), "nats") is None

    os.kill(child.pid, 0)  # raises if it is gone
    assert child.returncode is None


def test_nothing_is_killed_where_none_of_that_name_runs(tmp_path: Path) -> None:
    record(Home(tmp_path), None, None)

    assert kill_recorded(Home(tmp_path), "nats") is None
    assert kill_recorded(Home(tmp_path), "exchange") is None
