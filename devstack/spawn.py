"""Starting children: one that is supervised, or one whose end is waited for."""

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from devstack.account import Account
from devstack.errors import StackError

PR_SET_PDEATHSIG: Final = 1

# Loaded before any fork: between fork and exec nothing may be imported.
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with_parent(death_signal: signal.Signals) -> Callable[[], None] | None:
    """Return what a child runs before exec so that the kernel ends it when we die, even by SIGKILL.

    Only Linux can; elsewhere None, and the next `up` or `down` ends what was left.
    """
    if _libc is None:
        return None
    parent = os.getpid()
    libc = _libc

    def ask_kernel() -> None:
        libc.prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
        if os.getppid() != parent:  # it died before the kernel was asked
            os._exit(1)

    return ask_kernel


async def spawn(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    folder: Path,
    log: int,
    account: Account | None,
    death_signal: signal.Signals,
) -> asyncio.subprocess.Process:
    """Start `command` in a session of its own (a Ctrl-C at the terminal does not reach it).

    Both of its output streams go to the file descriptor `log`. Raises OSError.
    """
    return await asyncio.create_subprocess_exec(
        *command,
        env=environment,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
        preexec_fn=die_with_parent(death_signal),
        **(account.spawn if account else {}),
    )


async def run(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    folder: Path,
    account: Account | None = None,
    stdin: bytes | None = None,
    on_line: Callable[[str], None] = lambda line: None,
) -> str:
    """Run `command` to its end and return its output, both streams in one.

    `on_line` sees each line as it comes. Raises `StackError` with the last lines if it fails.
    """
    try:
        child = await asyncio.create_subprocess_exec(
            *command,
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            limit=2**20,
            start_new_session=True,
            preexec_fn=die_with_parent(signal.SIGKILL),
            **(account.spawn if account else {}),
        )
    except OSError as error:
        raise StackError(f"{command[0]}: {error.strerror}") from error
    try:
        if child.stdin is not None and stdin is not None:
            child.stdin.write(stdin)
            await child.stdin.drain()
            child.stdin.close()
        lines: list[str] = []
        assert child.stdout is not None
        async for raw in child.stdout:
            lines.append(raw.decode(errors="replace").rstrip())
            on_line(lines[-1])
        code = await child.wait()
    finally:
        await kill_session(child)
    if code != 0:
        tail = "\n".join(lines[-15:])
        raise StackError(f"{Path(command[0]).name} failed with exit code {code}:\n{tail}")
    return "\n".join(lines)


async def kill_session(child: asyncio.subprocess.Process) -> None:
    """SIGKILL a child that leads a session, and what it started; nothing happens if it ended."""
    if child.returncode is None:
        with suppress(ProcessLookupError):  # it ended, and we are about to hear of it
            os.killpg(child.pid, signal.SIGKILL)
        await child.wait()
