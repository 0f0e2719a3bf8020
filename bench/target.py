"""The stack that is put under load: one of its own on free ports, or one that runs already."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Protocol

from devstack.background import background
from devstack.errors import StackError
from devstack.home import Home
from devstack.process import GOOD
from devstack.recorded import kill_recorded
from devstack.roles import owner_among
from devstack.settings import StackSettings
from devstack.stack import DevStack

LOOK_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True)
class ProcessRow:
    """What is known of one process; `pid` is None while none runs."""

    name: str
    pid: int | None
    restarts: int
    is_well: bool


class Target(Protocol):
    """A running stack: where it is, what it consists of, and how to hurt it."""

    @property
    def api_url(self) -> str:
        """The API's base address."""

    @property
    def env(self) -> Mapping[str, str]:
        """Where everything is, as the processes themselves are told (`SHERWOOD_*`)."""

    def rows(self) -> list[ProcessRow]:
        """Every process of the stack, as of now."""

    async def meant_by(self, name: str) -> str:
        """The process that `name` means now: of several feeds, the owner. Raises `StackError`."""

    def kill(self, name: str) -> None:
        """SIGKILL a process; its supervisor starts another."""


class OwnStack:
    """A stack this process supervises itself."""

    def __init__(self, stack: DevStack) -> None:
        self.stack = stack

    @property
    def api_url(self) -> str:
        """The API's base address."""
        return self.stack.api_url

    @property
    def env(self) -> Mapping[str, str]:
        """Where everything is."""
        return self.stack.env

    def rows(self) -> list[ProcessRow]:
        """Every process, as of now."""
        return [_row(row) for row in self.stack.rows()]

    async def meant_by(self, name: str) -> str:
        """The process that `name` means now."""
        return await owner_among(self.stack.rows(), name)

    def kill(self, name: str) -> None:
        """SIGKILL a process."""
        self.stack.kill(name)


class RunningStack:
    """A stack that `make up` supervises, known by its state folder."""

    def __init__(self, home: Home) -> None:
        self._home = home
        if not home.is_held():
            raise StackError(f"nothing runs in {home.root}: start it with `make up`")
        self.env: Mapping[str, str] = home.read_state().get("env") or {}
        if "SHERWOOD_API_URL" not in self.env:
            raise StackError("the running stack has no API")

    @property
    def api_url(self) -> str:
        """The API's base address."""
        return self.env["SHERWOOD_API_URL"]

    def rows(self) -> list[ProcessRow]:
        """Every process, as its supervisor last wrote it down."""
        return [_row(row) for row in self._home.read_state().get("processes") or []]

    async def meant_by(self, name: str) -> str:
        """The process that `name` means now."""
        return await owner_among(self._home.read_state().get("processes") or [], name)

    def kill(self, name: str) -> None:
        """SIGKILL a process."""
        kill_recorded(self._home, name)


def row_of(target: Target, name: str) -> ProcessRow:
    """Return the row of one process. Raises `StackError` if the stack has none of that name."""
    for row in target.rows():
        if row.name == name:
            return row
    names = ", ".join(row.name for row in target.rows())
    raise StackError(f"no process is called {name!r}; there are: {names}")


@asynccontextmanager
async def own_stack(
    speed: float,
    *,
    workers: int = 1,
    environment: Mapping[str, str] | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> AsyncIterator[OwnStack]:
    """Run a stack on free ports, in a folder that goes with it; `tell` hears how it comes up."""
    stack = DevStack.temporary(
        workers=workers, environment=environment, exchange={"EXCHANGE_SPEED": f"{speed:g}"}
    )
    async with stack:
        async with background(_tell_progress(stack, tell)):
            await stack.wait_ready()
        yield OwnStack(stack)


def running_stack() -> RunningStack:
    """Return the stack of this checkout. Raises `StackError` if none runs."""
    return RunningStack(Home(StackSettings().home))


async def _tell_progress(stack: DevStack, tell: Callable[[str], None]) -> None:
    while True:
        missing = [p.name for p in stack.processes.values() if p.state not in GOOD]
        tell(f"starting: {', '.join(missing)}" if missing else "waiting for prices")
        await asyncio.sleep(LOOK_SECONDS)


def _row(row: Mapping[str, Any]) -> ProcessRow:
    return ProcessRow(row["name"], row["pid"], row["restarts"], row["state"] in GOOD)
