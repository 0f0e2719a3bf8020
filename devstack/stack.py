"""The whole stack: which processes, in which order, on which ports; used by `up` and by the tests.

async with DevStack.temporary() as stack:
    await stack.wait_ready()
    httpx.get(f"{stack.api_url}/symbols")
    stack.kill("gateway")
"""

import asyncio
import os
import shutil
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from devstack import identity
from devstack.day_end import far_day_end
from devstack.errors import StackError
from devstack.home import Home
from devstack.plan import Plan, chosen_names
from devstack.ports import HOST, FreePorts, usual_ports
from devstack.prices import every_symbol_has_a_price
from devstack.process import GOOD, ProcessSpec, State, SupervisedProcess, tail
from devstack.recorded import end_leftovers
from devstack.services import kind_of
from devstack.settings import StackSettings, own_servers

READY_SECONDS: Final = 180.0
"""How long everything may take once nothing is being prepared (downloaded, built) any more."""
EVENTS_KEPT: Final = 200


class DevStack:
    """Starts, supervises and stops the processes of one state folder."""

    def __init__(
        self,
        settings: StackSettings,
        *,
        workers: int = 1,
        apis: int = 1,
        only: Iterable[str] = (),
        without: Iterable[str] = (),
        auto_ports: bool = False,
        exchange: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
        on_event: Callable[[str], None] = lambda text: None,
        on_progress: Callable[[str, str], None] = lambda name, text: None,
        alter: Callable[[ProcessSpec], ProcessSpec] = lambda spec: spec,
    ) -> None:
        """Describe a stack of that many order workers and API nodes; nothing happens before `open`.

        `only` and `without` name processes (`servers`: the three servers; `orders`, `feed`: all of
        that kind). `exchange` are further `EXCHANGE_*`, `environment` further variables for all.
        `on_event` is told what happened, `on_progress` how far a preparation is, every second.
        `alter` may run a process otherwise: with other variables, or another program.
        """
        self.settings = settings
        self.home = Home(settings.home)
        self.processes: dict[str, SupervisedProcess] = {}
        self.ports: dict[str, int] = {}
        self.phase = "starting"
        self.events: deque[str] = deque(maxlen=EVENTS_KEPT)
        self.env: dict[str, str] = {}
        self.failure: StackError | None = None
        self.names = chosen_names(workers, only, without, apis)
        self._plan = Plan(settings, self.home, self.names, exchange or {}, environment or {})
        self._auto_ports = auto_ports
        self._on_event = on_event
        self._on_progress = on_progress
        self._alter = alter
        self._held = ExitStack()
        self._runner: asyncio.Task[None] | None = None
        self._group: asyncio.TaskGroup | None = None
        self._lives: dict[str, asyncio.Task[None]] = {}
        self._temporary = False
        self._begun = time.monotonic()

    @classmethod
    def temporary(
        cls,
        *,
        workers: int = 1,
        apis: int = 1,
        only: Iterable[str] = (),
        without: Iterable[str] = (),
        exchange: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
        alter: Callable[[ProcessSpec], ProcessSpec] = lambda spec: spec,
    ) -> Self:
        """Describe a stack of its own servers, on free ports, in a folder that goes with it.

        Its exchange does not end a day, which expires orders, as long as such a stack may live.
        """
        home = Path(tempfile.mkdtemp(prefix="sherwood-"))
        home.chmod(0o755)  # an unprivileged Postgres must reach its data in it
        stack = cls(
            own_servers().model_copy(update={"home": home}),
            workers=workers,
            apis=apis,
            only=only,
            without=without,
            auto_ports=True,
            exchange={**far_day_end(), **(exchange or {})},
            environment=environment,
            alter=alter,
        )
        stack._temporary = True
        return stack

    # -- addresses ---------------------------------------------------------------------------

    @property
    def api_url(self) -> str:
        """Return the base address of the API, of its first node."""
        return f"http://{HOST}:{self.ports['api']}"

    @property
    def api_urls(self) -> list[str]:
        """Return the base address of each API node."""
        return [
            f"http://{HOST}:{self.ports[name]}" for name in self.names if kind_of(name) == "api"
        ]

    @property
    def exchange_url(self) -> str:
        """Return the base address of the exchange."""
        return self.env["SHERWOOD_EXCHANGE_URL"]

    # -- life --------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        await self.close()

    async def open(self) -> None:
        """Begin to start everything. Raises `AlreadyRunning`, `PortsBusy`, `StackError`."""
        self._held.enter_context(self.home.locked())
        try:
            await end_leftovers(self.home)
            self.ports = self._choose_ports()
            self.env = self._plan.env(self.ports)
            for spec in self.specs():
                self.processes[spec.name] = SupervisedProcess(
                    spec, self.home.log_of(spec.name), self._changed, self._progressed
                )
            self._write_state()
        except BaseException:
            self._held.close()
            raise
        started = asyncio.Event()
        self._runner = asyncio.get_running_loop().create_task(self._run(started))
        await started.wait()

    async def _run(self, started: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as group:
            self._group = group
            for process in self.processes.values():
                self._lives[process.name] = group.create_task(self._life(process))
            started.set()
            await asyncio.Event().wait()  # ends by cancellation, in `close`

    async def _life(self, process: SupervisedProcess) -> None:
        for name in process.spec.needs:
            await self.processes[name].was_ready.wait()
        if process.spec.probe is not None and self._plan.external(process.name) is not None:
            while not await process.spec.probe():
                process.mark(State.UNREADY, "external, does not answer")
                await asyncio.sleep(1.0)
            process.mark(State.EXTERNAL)
            process.was_ready.set()
            return
        try:
            await process.run()
        except StackError as error:
            self.failure = StackError(f"{process.name}: {error}")

    async def wait_ready(self, timeout_seconds: float = READY_SECONDS) -> None:
        """Return when every process is ready and, with an API, every symbol has a price.

        Time spent on preparations does not count. Raises `StackError` with the tail of the log of
        what is not ready.
        """
        deadline = time.monotonic() + timeout_seconds
        while not await self._is_ready():
            if self.failure is not None:
                raise self.failure
            if self._runner is None or self._runner.done():
                raise StackError("the supervisor itself failed; see its log")
            if any(p.state is State.PREPARING for p in self.processes.values()):
                deadline = max(deadline, time.monotonic() + timeout_seconds)
            if time.monotonic() > deadline:
                raise StackError(self._why_not_ready(timeout_seconds))
            await asyncio.sleep(0.1)
        self.phase = "ready"
        self._note(f"ready after {time.monotonic() - self._begun:.1f} s")

    async def _is_ready(self) -> bool:
        if any(process.state not in GOOD for process in self.processes.values()):
            return False
        return "api" not in self.processes or await every_symbol_has_a_price(self.api_url)

    def _why_not_ready(self, timeout_seconds: float) -> str:
        bad = [process for process in self.processes.values() if process.state not in GOOD]
        if not bad:
            return (
                f"not every symbol has a price after {timeout_seconds:.0f} s: "
                "see the logs of the feeds"
            )
        parts = [f"not ready after {timeout_seconds:.0f} s:"]
        for process in bad:
            parts.append(f"  {process.name}: {process.state} {process.detail}".rstrip())
            if process.state is not State.WAITING:
                parts += [f"    | {line}" for line in tail(process.log_path, 15)]
        return "\n".join(parts)

    async def wait_ended(self) -> None:
        """Return when nothing is supervised any more: after `close`, or by an error of our own."""
        if self._runner is not None:
            await asyncio.wait([self._runner])

    async def close(self) -> None:
        """Stop everything, in the reverse order of the start."""
        if self._runner is None:
            return
        self.phase = "stopping"
        self._note("stopping")
        try:
            await self._stop_in_order()
        finally:
            runner, self._runner = self._runner, None
            runner.cancel()
            await asyncio.wait([runner])
            self.phase = "stopped"
            self._note("stopped")
            if self._temporary:
                self.home.wipe()
                shutil.rmtree(self.home.root, ignore_errors=True)
            self._held.close()
            if not runner.cancelled():
                runner.result()  # what broke the supervisor is told, not swallowed

    async def _stop_in_order(self) -> None:
        stopped = {name: asyncio.Event() for name in self.processes}

        async def stop_after_dependents(process: SupervisedProcess) -> None:
            for other in self.processes.values():
                if process.name in other.spec.needs:
                    await stopped[other.name].wait()
            await process.stop()
            stopped[process.name].set()

        async with asyncio.TaskGroup() as stopping:
            for process in self.processes.values():
                stopping.create_task(stop_after_dependents(process))

    # -- what tests do to it -----------------------------------------------------------------

    def kill(self, name: str) -> None:
        """SIGKILL the process; the supervisor restarts it."""
        self.processes[name].kill()

    async def stop(self, name: str) -> None:
        """Stop the process and leave it stopped."""
        await self.processes[name].stop()

    async def start(self, name: str) -> None:
        """Start a process again and wait until it is ready; one that runs is left as it is.

        Raises `StackError` if it cannot be prepared, or is stopped before it is ready.
        """
        process = self.processes[name]
        if process.stop_asked:
            await asyncio.wait([self._lives[name]])
        life = self._lives[name]
        if life.done():
            assert self._group is not None
            process.allow_start()
            life = self._lives[name] = self._group.create_task(self._life(process))
        ready = asyncio.get_running_loop().create_task(process.was_ready.wait())
        try:
            await asyncio.wait([ready, life], return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()
        if not process.was_ready.is_set():
            raise StackError(f"{name}: {process.state} {process.detail}".rstrip())

    def pause(self, name: str) -> None:
        """Freeze the process: its connections stay open and nothing answers."""
        self.processes[name].pause()

    def resume(self, name: str) -> None:
        """Let a paused process go on."""
        self.processes[name].resume()

    def specs(self) -> list[ProcessSpec]:
        """Return how to run each process; known once ports are."""
        return [self._alter(spec) for spec in self._plan.specs(self.ports)]

    def _choose_ports(self) -> dict[str, int]:
        names = self._plan.port_names()
        if not self._auto_ports:
            return usual_ports(names)
        free = self._held.enter_context(FreePorts())
        return free.choose(names, preferred=self.home.read_state().get("ports") or {})

    # -- telling -----------------------------------------------------------------------------

    def _changed(self, process: SupervisedProcess, text: str) -> None:
        self._note(f"{process.name}: {text}")

    def _progressed(self, process: SupervisedProcess, text: str) -> None:
        self._write_state()
        self._on_progress(process.name, text)

    def _note(self, text: str) -> None:
        self.events.append(text)
        self._on_event(text)  # first, so that who waits for the state finds the line written
        self._write_state()

    def _write_state(self) -> None:
        me = identity.identity_of(os.getpid())
        self.home.write_state(
            {
                "phase": self.phase,
                "supervisor": None if me is None else {"pid": me.pid, "startedAt": me.started_at},
                "home": str(self.home.root),
                "env": self.env,
                "ports": self.ports,
                "processes": self.rows(),
            }
        )

    def rows(self) -> list[dict[str, Any]]:
        """Return what is known of each process, as the state file holds it."""
        return [self._row(process) for process in self.processes.values()]

    def _row(self, process: SupervisedProcess) -> dict[str, Any]:
        return {
            "name": process.name,
            "state": str(process.state),
            "pid": process.pid,
            "startedAt": process.identity.started_at if process.identity else None,
            "restarts": process.restarts,
            "address": process.spec.address,
            "detail": process.detail,
            "log": str(process.log_path),
        }
