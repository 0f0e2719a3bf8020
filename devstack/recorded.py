"""Processes known by what a supervisor wrote down of them: killing one, ending what was left."""

import asyncio
import signal
from collections.abc import Mapping
from typing import Any, Final

from devstack import identity
from devstack.home import Home

LEFTOVER_SECONDS: Final = 5.0


def kill_recorded(home: Home, name: str) -> int | None:
    """SIGKILL the process of that name and return its pid; None if none of that name runs.

    Raises `StackError` if it belongs to another user.
    """
    for row in home.read_state().get("processes") or []:
        found = _identity_in(row)
        if row["name"] == name and found and identity.send_signal(found, signal.SIGKILL):
            return found.pid
    return None


async def end_leftovers(home: Home) -> list[identity.Identity]:
    """End what an earlier supervisor that died left running, told by pid and start time."""
    rows = home.read_state().get("processes") or []
    left = [found for row in rows if (found := _identity_in(row))]
    return await asyncio.to_thread(identity.end, left, LEFTOVER_SECONDS)


def _identity_in(row: Mapping[str, Any]) -> identity.Identity | None:
    if not row.get("pid") or not row.get("startedAt"):
        return None
    return identity.Identity(row["pid"], row["startedAt"])
