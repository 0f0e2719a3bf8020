"""One supervised process: spawned, watched, restarted with backoff, stopped."""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

import psutil

from devstack import spawn
from devstack.account import Account
from devstack.background import background
from devstack.errors import StackError
from devstack.identity import Identity, family, identity_of
from devstack.probes import Probe

BACKOFF_FIRST_SECONDS: Final = 0.2
BACKOFF_MAX_SECONDS: Final = 10.0
STABLE_SECONDS: Final = 10.0
"""A process that stayed up this long has its backoff forgotten."""
PROBE_STARTING_SECONDS: Final = 0.1
PROBE_READY_SECONDS: Final = 2.0
LOG_BYTES_MAX: Final = 16 * 2**20


class State(StrEnum):
    """Where a process is in its life, as the screen names it."""

    WAITING = "waiting"
    PREPARING = "preparing"
    STARTING = "starting"
    READY = "ready"
    UNREADY = "unready"
    RESTARTING = "restarting"
    STOPPING = "stopping"
    STOPPED = "stopped"
    DONE = "done"
    FAILED = "failed"
    EXTERNAL = "external"


GOOD: Final = frozenset({State.READY, State.DONE, State.EXTERNAL})
"""What `all is well` means."""

Report = Callable[[str], None]
Prepare = Callable[[Report], Awaitable[tuple[str, ...]]]


@dataclass(frozen=True)
class ProcessSpec:
    """What to run and how to know that it is well.

    `prepare` makes ready what the command needs (a data folder, a binary) and returns the command.
    """

    name: str
    prepare: Prepare
    environment: Mapping[str, str]
    folder: Path
    probe: Probe | None = None
    address: str = ""
    needs: frozenset[str] = frozenset()
    account: Account | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    stop_timeout_seconds: float = 15.0
    death_signal: signal.Signals = signal.SIGKILL
    once: bool = False
    """Runs to its end and is done, and is repeated only while it fails."""


def fixed(*command: str) -> Prepare:
    """Return the preparation of a command that needs none."""

    async def prepare(report: Report) -> tuple[str, ...]:
        return command

    return prepare


@dataclass
class SupervisedProcess:
    """A child that is kept running from `run` until `stop`."""

    spec: ProcessSpec
    log_path: Path
    changed: Callable[["SupervisedProcess", str], None]
    progressed: Callable[["SupervisedProcess", str], None] = lambda process, text: None
    state: State = State.WAITING
    detail: str = ""
    restarts: int = 0
    identity: Identity | None = None
    last_end: str = ""
    """How the latest child ended."""
    was_ready: asyncio.Event = field(default_factory=asyncio.Event)
    _stop_asked: asyncio.Event = field(default_factory=asyncio.Event)
    _ended: asyncio.Event = field(default_factory=asyncio.Event)
    _kept_running: bool = False
    """A child runs, is being spawned, or will be again: there is an end for `stop` to wait for."""

    @property
    def name(self) -> str:
        """Return the name by which everything else knows the process."""
        return self.spec.name

    @property
    def pid(self) -> int | None:
        """Return the pid while a child runs."""
        return self.identity.pid if self.identity else None

    @property
    def stop_asked(self) -> bool:
        """True from `stop` on until `allow_start`."""
        return self._stop_asked.is_set()

    async def run(self) -> None:
        """Keep the process running until `stop`, or, run once, until it succeeds.

        Raises `StackError` if it cannot even be prepared. Cancelled, it kills the child.
        """
        self._ended.clear()
        try:
            self.mark(State.PREPARING)
            try:
                command = await self.spec.prepare(self._report)
            except OSError as error:
                raise StackError(str(error)) from error
            self._kept_running = True
            await self._keep_running(command)
        except StackError as error:
            self.mark(State.FAILED, str(error).partition("\n")[0])
            raise
        finally:
            self._kept_running = False
            self._ended.set()

    async def _keep_running(self, command: tuple[str, ...]) -> None:
        backoff_seconds = BACKOFF_FIRST_SECONDS
        while not self.stop_asked:
            started = time.monotonic()
            outcome, succeeded = await self._run_one_life(command)
            if self.stop_asked:
                break
            if self.spec.once and succeeded:
                self.mark(State.DONE)
                self.was_ready.set()
                return
            if time.monotonic() - started > STABLE_SECONDS:
                backoff_seconds = BACKOFF_FIRST_SECONDS
            self.restarts += 1
            self.mark(State.RESTARTING, f"{outcome}; again in {backoff_seconds:.1f} s")
            await _wait(self._stop_asked, backoff_seconds)
            backoff_seconds = min(2 * backoff_seconds, BACKOFF_MAX_SECONDS)
        self.mark(State.STOPPED)

    async def _run_one_life(self, command: tuple[str, ...]) -> tuple[str, bool]:
        """Run one child to its end; return how it ended, and whether that was well."""
        log = open_log(self.log_path, command)
        try:
            child = await spawn.spawn(
                command,
                environment=self.spec.environment,
                folder=self.spec.folder,
                log=log,
                account=self.spec.account,
                death_signal=self.spec.death_signal,
            )
        except OSError as error:
            return f"cannot start {command[0]}: {error.strerror}", False
        finally:
            os.close(log)
        self.identity = identity_of(child.pid) or Identity(child.pid, time.time())
        self.mark(State.STOPPING if self.stop_asked else State.STARTING)
        if self.stop_asked:  # during the spawn, when there was nobody to signal yet
            self._signal(self.spec.stop_signal)
        try:
            async with background(self._watch()):
                code = await child.wait()
        finally:
            if child.returncode is None:
                self._signal_family(signal.SIGKILL)
                await child.wait()
            self.identity = None
        self.last_end = ended_how(code)
        return self.last_end, code == 0

    async def _watch(self) -> None:
        """Ask whether the child is ready, often until it first is, then now and then."""
        if self.spec.probe is None:
            return
        failures = 0
        while True:
            if await self.spec.probe():
                failures = 0
                if self.state in (State.STARTING, State.UNREADY):
                    self.mark(State.READY)
                    self.was_ready.set()
            elif self.state is State.READY:
                failures += 1
                if failures > 1:
                    self.mark(State.UNREADY, "does not answer its health route")
            pause = PROBE_READY_SECONDS if self.state is State.READY else PROBE_STARTING_SECONDS
            await asyncio.sleep(pause if failures == 0 else PROBE_STARTING_SECONDS)

    async def stop(self) -> None:
        """Stop the child, politely first, and wait for its end; nothing happens if none runs."""
        self._stop_asked.set()
        if not self._kept_running:
            return
        self.mark(State.STOPPING)
        self._signal(self.spec.stop_signal)
        self.resume()  # a paused one could not stop
        if not await _wait(self._ended, self.spec.stop_timeout_seconds):
            self.mark(State.STOPPING, "did not stop in time, killed")
            self._signal_family(signal.SIGKILL)
            await self._ended.wait()

    def allow_start(self) -> None:
        """Make `run` possible again after a `stop`."""
        self._stop_asked.clear()
        self.was_ready.clear()

    def kill(self) -> None:
        """SIGKILL the child; it will be restarted."""
        self._signal(signal.SIGKILL)

    def pause(self) -> None:
        """Freeze the child and what it started: connections stay open and nothing answers."""
        self._signal_family(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused child go on."""
        self._signal_family(signal.SIGCONT)

    def _signal(self, signal_number: signal.Signals) -> None:
        if self.identity is not None:
            with suppress(ProcessLookupError):  # it ended, and we are about to hear of it
                os.kill(self.identity.pid, signal_number)

    def _signal_family(self, signal_number: signal.Signals) -> None:
        if self.identity is None:
            return
        try:
            members = family(psutil.Process(self.identity.pid))
        except psutil.Error:
            return
        for member in members:
            with suppress(psutil.Error):  # it ended meanwhile, or became somebody else's
                member.send_signal(signal_number)

    def _report(self, text: str) -> None:
        if text != self.detail:
            self.detail = text
            self.progressed(self, text)

    def mark(self, state: State, detail: str = "") -> None:
        """Move to `state` and tell those who watch."""
        self.state = state
        self.detail = detail
        self.changed(self, f"{state}: {detail}" if detail else str(state))


async def _wait(event: asyncio.Event, timeout_seconds: float) -> bool:
    try:
        async with asyncio.timeout(timeout_seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


def ended_how(code: int) -> str:
    """Put an exit code into words."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


def open_log(path: Path, command: tuple[str, ...]) -> int:
    """Open the log for one more life; a long one moves aside first, over the one before it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > LOG_BYTES_MAX:
        path.replace(path.with_suffix(".log.1"))
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    os.write(log, f"--- {when} {Path(command[0]).name} {' '.join(command[1:4])}\n".encode())
    return log


def tail(path: Path, lines: int) -> list[str]:
    """Return the last lines of a log, [] if there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 64 * 1024))
            return file.read().decode(errors="replace").splitlines()[-lines:]
    except FileNotFoundError:
        return []
