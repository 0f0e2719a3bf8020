"""Starting again after a store was lost, for the stack of one machine."""

import asyncio
import subprocess
import sys
from collections.abc import Mapping
from typing import Final, Literal

from devstack.errors import StackError
from devstack.home import Home
from devstack.settings import CHECKOUT, StackSettings, inherited_environment
from devstack.stack import DevStack

Lost = Literal["temporal", "jetstream", "postgres"]

NOBODY_TRADES: Final = ("servers", "migrations", "exchange")
"""All that may run while Postgres is recovered."""


def recover(settings: StackSettings, lost: Lost) -> int:
    """Run `workers.recover` on this machine's stack; returns its exit code.

    After a restore of Postgres nothing else may run, so what it needs is started for the time of
    the command. Raises `StackError`.
    """
    home = Home(settings.home)
    if home.is_held():
        return _run(home.read_state().get("env") or {}, lost)
    if lost != "postgres":
        raise StackError("nothing runs: start it with `make up`, then repeat this")
    return asyncio.run(_recover_alone(settings, lost))


async def _recover_alone(settings: StackSettings, lost: Lost) -> int:
    async with DevStack(settings, only=NOBODY_TRADES, auto_ports=True) as stack:
        await stack.wait_ready()
        return await asyncio.to_thread(_run, stack.env, lost)


def _run(environment: Mapping[str, str], lost: Lost) -> int:
    command = (sys.executable, "-m", "workers.recover", lost)
    finished = subprocess.run(
        command, env={**inherited_environment(), **environment}, cwd=CHECKOUT, check=False
    )
    return finished.returncode
