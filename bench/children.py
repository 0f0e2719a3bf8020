"""Processes that a measurement needs beside the stack: other workers, the load generator."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import httpx
import msgspec

from bench.load import LoadResult, LoadSpec
from devstack import spawn
from devstack.ports import HOST, free_ports
from devstack.process import tail
from devstack.services import ONE_THREAD
from devstack.settings import CHECKOUT, inherited_environment

START_SECONDS: Final = 30.0
STOP_SECONDS: Final = 30.0
LOAD_GRACE_SECONDS: Final = 60.0


class ChildFailed(Exception):
    """A process of the measurement's own did not do its part; the message has its last words."""


@asynccontextmanager
async def worker(*command: str, env: Mapping[str, str], log: Path) -> AsyncIterator[int]:
    """Run `python -m <command>` until the block ends; yields its pid once it says it is ready."""
    port = free_ports(["bench"], {})["bench"]
    health = {"SHERWOOD_HEALTH_PORT": str(port), "SHERWOOD_HEALTH_HOST": HOST}
    url = f"http://{HOST}:{port}"
    async with server(*command, env={**env, **health}, url=url, log=log) as pid:
        yield pid


@asynccontextmanager
async def server(
    *command: str,
    env: Mapping[str, str],
    url: str,
    log: Path,
    folder: Path = CHECKOUT,
    stop_seconds: float = STOP_SECONDS,
) -> AsyncIterator[int]:
    """Run `python -m <command>` in `folder` until the block ends; yields its pid once it is ready.

    It is ready by its own word, at `/readyz` of `url`; it is killed if SIGTERM does not end it in
    `stop_seconds`. Raises `ChildFailed`.
    """
    with log.open("ab") as output:
        process = await spawn.spawn(
            (sys.executable, "-m", *command),
            environment={**env, **ONE_THREAD},
            folder=folder,
            log=output.fileno(),
            account=None,
            death_signal=signal.SIGKILL,
        )
    try:
        await _wait_ready(process, url, log)
        yield process.pid
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), stop_seconds)
            except TimeoutError:
                process.kill()
                await process.wait()


async def _wait_ready(process: asyncio.subprocess.Process, url: str, log: Path) -> None:
    async with httpx.AsyncClient(trust_env=False, timeout=2) as client:
        try:
            async with asyncio.timeout(START_SECONDS):
                while True:
                    if process.returncode is not None:
                        raise ChildFailed(f"it ended:\n{_last_words(log)}")
                    try:
                        answer = await client.get(f"{url}/readyz")
                    except httpx.HTTPError:
                        await asyncio.sleep(0.1)
                        continue
                    if answer.status_code == 200:
                        return
                    await asyncio.sleep(0.1)
        except TimeoutError as error:
            raise ChildFailed(f"not ready in time:\n{_last_words(log)}") from error


def _last_words(log: Path) -> str:
    return "\n".join(tail(log, 20))


async def run_load(spec: LoadSpec) -> LoadResult:
    """Run the load generator to its end. Raises `ChildFailed`."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "bench.load"),
        cwd=CHECKOUT,
        env={**inherited_environment(), **ONE_THREAD},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        preexec_fn=spawn.die_with_parent(signal.SIGKILL),
    )
    try:
        async with asyncio.timeout(spec.seconds + LOAD_GRACE_SECONDS):
            out, err = await process.communicate(msgspec.json.encode(spec) + b"\n")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise ChildFailed(f"the load generator failed:\n{err.decode()[-2000:]}")
    return msgspec.json.decode(out, type=LoadResult)
