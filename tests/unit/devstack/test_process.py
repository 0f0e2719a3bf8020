"""The supervisor of one process, with real children that do nothing else."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from devstack import process as process_module
from devstack import spawn
from devstack.errors import StackError
from devstack.probes import Probe
from devstack.process import ProcessSpec, Report, State, SupervisedProcess, fixed, open_log, tail
from tests.support.eventually import eventually
from tests.support.running import has_ended

FOREVER = "import time\nwhile True: time.sleep(60)"
DEAF = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
while True: time.sleep(60)
"""
FAILS_AT_FIRST = """
import pathlib, sys
tried = pathlib.Path("tried")
found = tried.exists()
tried.touch()
sys.exit(not found)
"""


async def always() -> bool:
    return True


def supervised(
    folder: Path,
    script: str,
    *,
    probe: Probe | None = always,
    once: bool = False,
    stop_timeout_seconds: float = 20.0,
    on_change: Callable[[str], None] = lambda text: None,
) -> SupervisedProcess:
    return SupervisedProcess(
        ProcessSpec(
            name="child",
            prepare=fixed(sys.executable, "-c", script),
            environment={},
            folder=folder,
            probe=probe,
            once=once,
            stop_timeout_seconds=stop_timeout_seconds,
        ),
        folder / "child.log",
        lambda process, text: on_change(text),
    )


@asynccontextmanager
async def running(process: SupervisedProcess) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(process.run())
        try:
            yield
        finally:
            await process.stop()


async def test_a_process_is_ready_when_its_probe_says_so(tmp_path: Path) -> None:
    answer = False

    async def probe() -> bool:
        return answer

    process = supervised(tmp_path, FOREVER, probe=probe)
    async with running(process):
        await eventually(lambda: process.state is State.STARTING)
        assert not process.was_ready.is_set()

        answer = True

        await eventually(lambda: process.state is State.READY)
    assert process.state is State.STOPPED


async def test_a_killed_process_comes_back_with_another_pid(tmp_path: Path) -> None:
    said: list[str] = []
    process = supervised(tmp_path, FOREVER, on_change=said.append)
    async with running(process):
        await process.was_ready.wait()
        first = process.pid

        process.kill()

        await eventually(lambda: process.restarts == 1 and process.state is State.READY)
        assert process.pid != first
    assert "restarting: killed by SIGKILL; again in 0.2 s" in said


async def test_each_death_in_a_row_doubles_the_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_module, "STABLE_SECONDS", 3600.0)
    said: list[str] = []
    process = supervised(tmp_path, "raise SystemExit(3)", on_change=said.append)

    async with running(process):
        await eventually(lambda: process.restarts >= 3)

    waits = [text for text in said if "again in" in text]
    assert waits[:3] == [
        f"restarting: ended with exit code 3; again in {seconds} s" for seconds in (0.2, 0.4, 0.8)
    ]


async def test_a_process_that_stayed_up_long_enough_is_restarted_quickly_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_module, "STABLE_SECONDS", 0.0)
    said: list[str] = []
    process = supervised(tmp_path, "raise SystemExit(3)", on_change=said.append)

    async with running(process):
        await eventually(lambda: process.restarts >= 3)

    assert all(text.endswith("again in 0.2 s") for text in said if "again in" in text)


async def test_a_process_that_ignores_sigterm_is_killed_at_the_deadline(tmp_path: Path) -> None:
    process = supervised(tmp_path, DEAF, stop_timeout_seconds=0.3)
    async with running(process):
        await eventually(lambda: "deaf" in tail(process.log_path, 1))
        child = psutil.Process(process.pid)

        await process.stop()

    assert not child.is_running()


async def test_a_paused_process_is_unready_and_ready_again_when_resumed(tmp_path: Path) -> None:
    async def probe() -> bool:
        return psutil.Process(process.pid).status() != psutil.STATUS_STOPPED

    process = supervised(tmp_path, FOREVER, probe=probe)
    async with running(process):
        await process.was_ready.wait()

        process.pause()
        await eventually(lambda: process.state is State.UNREADY)
        process.resume()

        await eventually(lambda: process.state is State.READY)
        assert process.restarts == 0


async def test_a_paused_process_can_be_stopped(tmp_path: Path) -> None:
    process = supervised(tmp_path, FOREVER)
    async with running(process):
        await process.was_ready.wait()
        process.pause()

        await process.stop()

    assert process.last_end == "killed by SIGTERM"


async def test_a_stopped_process_stays_down_until_it_is_started(tmp_path: Path) -> None:
    process = supervised(tmp_path, FOREVER)
    async with running(process):
        await process.was_ready.wait()
    assert process.pid is None

    process.allow_start()
    async with running(process):
        await process.was_ready.wait()

        assert process.pid is not None


async def test_a_stop_during_the_spawn_stops_the_child(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spawning, go_on = asyncio.Event(), asyncio.Event()
    spawn_at_once = spawn.spawn

    async def slow_spawn(*arguments: Any, **options: Any) -> asyncio.subprocess.Process:
        spawning.set()
        await go_on.wait()
        return await spawn_at_once(*arguments, **options)

    monkeypatch.setattr(spawn, "spawn", slow_spawn)
    process = supervised(tmp_path, FOREVER)
    async with asyncio.timeout(120), asyncio.TaskGroup() as tasks:
        run = tasks.create_task(process.run())
        await spawning.wait()

        stop = tasks.create_task(process.stop())
        await eventually(lambda: process.stop_asked)
        go_on.set()
        await stop

        assert process.state is State.STOPPED
        assert process.last_end == "killed by SIGTERM"
        await run


async def test_a_process_stopped_while_it_waits_to_be_restarted_can_start_at_once(
    tmp_path: Path,
) -> None:
    process = supervised(tmp_path, "raise SystemExit(3)")
    async with asyncio.timeout(120), asyncio.TaskGroup() as tasks:
        run = tasks.create_task(process.run())
        await eventually(lambda: process.state is State.RESTARTING)

        await process.stop()
        process.allow_start()

        await run
        assert process.state is State.STOPPED


async def test_a_task_that_runs_once_is_repeated_only_while_it_fails(tmp_path: Path) -> None:
    process = supervised(tmp_path, FAILS_AT_FIRST, probe=None, once=True)

    async with asyncio.timeout(120):
        await process.run()

    assert process.state is State.DONE
    assert process.restarts == 1


async def test_a_process_that_cannot_be_prepared_fails_and_says_why(tmp_path: Path) -> None:
    async def prepare(report: Report) -> tuple[str, ...]:
        raise StackError("no binary")

    spec = ProcessSpec(name="child", prepare=prepare, environment={}, folder=tmp_path)
    process = SupervisedProcess(spec, tmp_path / "child.log", lambda process, text: None)

    with pytest.raises(StackError, match="no binary"):
        await process.run()

    assert (process.state, process.detail) == (State.FAILED, "no binary")


async def test_a_command_that_does_not_exist_is_tried_again_and_named(tmp_path: Path) -> None:
    spec = ProcessSpec(
        name="child", prepare=fixed("/does/not/exist"), environment={}, folder=tmp_path
    )
    process = SupervisedProcess(spec, tmp_path / "child.log", lambda process, text: None)

    async with running(process):
        await eventually(lambda: "cannot start /does/not/exist" in process.detail)


async def test_a_child_dies_with_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("only Linux tells children of their parent's death")
    pid_file = tmp_path / "pid"
    supervisor = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SUPERVISOR, FOREVER, str(pid_file)), start_new_session=True
    )
    await eventually(lambda: pid_file.exists() and pid_file.read_text().endswith("\n"))
    child = psutil.Process(int(pid_file.read_text()))

    supervisor.send_signal(signal.SIGKILL)
    await supervisor.wait()

    await eventually(lambda: has_ended(child))


SUPERVISOR = """
import asyncio, pathlib, signal, sys
from devstack.spawn import spawn

async def main():
    child = await spawn(
        [sys.executable, "-c", sys.argv[1]], environment={}, folder=pathlib.Path("/"), log=1,
        account=None, death_signal=signal.SIGKILL,
    )
    pathlib.Path(sys.argv[2]).write_text(f"{child.pid}\\n")
    await child.wait()

asyncio.run(main())
"""


def test_a_long_log_moves_aside_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_module, "LOG_BYTES_MAX", 10)
    log = tmp_path / "child.log"
    log.write_text("longer than ten bytes\n")

    with open(open_log(log, ("command",))):
        pass

    assert (tmp_path / "child.log.1").read_text() == "longer than ten bytes\n"
    assert log.read_text().startswith("--- ")
