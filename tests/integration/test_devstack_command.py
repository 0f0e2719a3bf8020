"""`python -m devstack` from the outside, with the quickest of the servers."""

import asyncio
import contextlib
import json
import os
import pty
import signal
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from devstack.settings import CHECKOUT, inherited_environment
from tests.support.eventually import eventually
from tests.support.running import has_ended

DEADLINE_SECONDS = 60.0


@dataclass
class Devstack:
    """The command, with a state folder of its own."""

    home: Path

    @property
    def environment(self) -> dict[str, str]:
        return inherited_environment() | {"SHERWOOD_HOME": str(self.home), "SHERWOOD_NATS_URL": ""}

    async def __call__(self, *arguments: str) -> tuple[int, str]:
        return await self.python("-m", "devstack", *arguments)

    async def python(self, *arguments: str) -> tuple[int, str]:
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, *arguments),
            cwd=CHECKOUT,
            env=self.environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(DEADLINE_SECONDS):
            output, _ = await child.communicate()
        assert child.returncode is not None
        return child.returncode, output.decode()

    async def state(self) -> dict[str, Any]:
        _, output = await self("status", "--json")
        state = json.loads(output)
        assert isinstance(state, dict)
        return state

    async def row(self, name: str) -> dict[str, Any]:
        rows = [row for row in (await self.state())["processes"] if row["name"] == name]
        assert rows, f"{name} is not there"
        row = rows[0]
        assert isinstance(row, dict)
        return row


@pytest.fixture
async def devstack(tmp_path: Path) -> AsyncIterator[Devstack]:
    command = Devstack(tmp_path / "state")
    yield command
    await command("reset")


UP = ("up", "--only", "nats", "--ports", "auto", "--detach")


async def test_up_detached_returns_when_it_is_ready_and_down_stops_it(devstack: Devstack) -> None:
    code, output = await devstack(*UP)
    assert code == 0, output
    state = await devstack.state()
    assert (state["running"], state["phase"]) == (True, "ready")
    assert state["env"]["SHERWOOD_NATS_URL"].endswith(str(state["ports"]["nats"]))
    nats = psutil.Process(state["processes"][0]["pid"])

    code, output = await devstack("down")

    assert code == 0, output
    assert has_ended(nats)
    assert (await devstack.state())["running"] is False


async def test_a_second_up_says_that_it_runs_already(devstack: Devstack) -> None:
    await devstack(*UP)

    code, output = await devstack(*UP)

    assert code == 1
    assert "already running" in output


async def test_a_killed_process_is_restarted_and_counted(devstack: Devstack) -> None:
    await devstack(*UP)
    before = await devstack.row("nats")

    code, output = await devstack("kill", "nats")

    assert code == 0, output

    async def is_back() -> None:
        row = await devstack.row("nats")
        assert (row["restarts"], row["state"]) == (1, "ready")
        assert row["pid"] != before["pid"]

    await eventually(is_back, "nats is back", 60)


async def test_nothing_survives_a_killed_supervisor_and_up_works_again(devstack: Devstack) -> None:
    await devstack(*UP)
    state = await devstack.state()
    nats = psutil.Process(state["processes"][0]["pid"])

    os.kill(state["supervisor"]["pid"], signal.SIGKILL)

    await eventually(lambda: has_ended(nats), "nats ends too")
    code, output = await devstack(*UP)
    assert code == 0, output


async def test_up_names_the_busy_port_and_its_holder(devstack: Devstack) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]

        code, output = await devstack.python("-c", UP_ON_PORT, str(port))

    assert code == 1
    assert f"{port} (nats): pid {os.getpid()}, " in output
    assert "--ports auto" in output


# The usual ports of this machine may be anybody's.
UP_ON_PORT = """
import sys
from devstack import cli, ports
ports.USUAL = {"nats": int(sys.argv[1]), "nats-monitor": int(sys.argv[1])}
sys.argv[1:] = ["up", "--only", "nats"]
cli.main()
"""


async def test_up_that_fails_says_why_and_leaves_nothing_running(devstack: Devstack) -> None:
    devstack.home.mkdir()
    (devstack.home / "nats").write_text("a file where a folder should be")

    code, output = await devstack(*UP)

    assert code == 1
    assert "File exists" in output
    assert (await devstack.state())["running"] is False


async def test_logs_prints_what_a_process_said(devstack: Devstack) -> None:
    await devstack(*UP)

    async def says_it() -> None:
        code, output = await devstack("logs", "nats")
        assert code == 0
        assert "Server is ready" in output

    await eventually(says_it, "it is in the log")


async def test_reset_removes_everything_that_up_made(devstack: Devstack) -> None:
    await devstack(*UP)

    code, output = await devstack("reset")

    assert code == 0, output
    assert not devstack.home.exists()


async def test_in_a_terminal_it_shows_a_live_table_and_ctrl_c_stops_it(devstack: Devstack) -> None:
    ours, theirs = pty.openpty()
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "devstack", "up", "--only", "nats", "--ports", "auto"),
        cwd=CHECKOUT,
        env=devstack.environment | {"TERM": "xterm"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown: list[str] = []
    drained = asyncio.get_running_loop().run_in_executor(None, drain, ours, shown)
    await eventually(
        lambda: "Sherwood is ready" in "".join(shown), "the screen says it is ready", 60
    )

    child.send_signal(signal.SIGINT)
    code = await child.wait()

    await drained
    assert code == 0
    assert "restarts" in "".join(shown)
    assert "Sherwood is stopped" in "".join(shown)


def drain(terminal: int, shown: list[str]) -> None:
    """Read what a terminal shows until its other end closes."""
    with contextlib.suppress(OSError):
        while part := os.read(terminal, 65_536):
            shown.append(part.decode(errors="replace"))
    os.close(terminal)
