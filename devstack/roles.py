"""Which of several copies of a process has the work: each says so on its health route."""

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from devstack import probes
from devstack.errors import StackError
from devstack.services import SHARED, kind_of

Row = Mapping[str, Any]
"""A process as the state file has it; only its `name` and `address` are looked at."""


async def role_of(address: str) -> str | None:
    """Return the role that the process at `address` tells; None if it tells none or nothing."""
    try:
        _, body = await probes.fetch(f"{address}/readyz")
        role = json.loads(body).get("role")
    except (OSError, TimeoutError, ValueError, IndexError, AttributeError):
        return None
    return role if isinstance(role, str) else None


async def roles_of(rows: Iterable[Row]) -> dict[str, str]:
    """Return the role of each process that shares its work with copies, as far as it tells it."""
    asked = [row for row in rows if kind_of(row["name"]) in SHARED and row["address"]]
    async with asyncio.TaskGroup() as tasks:
        asking = {row["name"]: tasks.create_task(role_of(row["address"])) for row in asked}
    return {name: role for name, task in asking.items() if (role := task.result()) is not None}


async def owner_among(rows: Sequence[Row], name: str) -> str:
    """Return the process that is meant by `name`: of copies of one kind, the one that works.

    Raises `StackError` if no process is called so, or if none of the copies owns the work now.
    """
    names = [row["name"] for row in rows]
    if name in names:
        return name
    copies = [row for row in rows if kind_of(row["name"]) == name and name in SHARED]
    if not copies:
        raise StackError(f"no process is called {name!r}; there are: {', '.join(names)}")
    roles = await roles_of(copies)
    for copy, role in roles.items():
        if role == "owner":
            return copy
    said = ", ".join(f"{row['name']} ({roles.get(row['name'], 'silent')})" for row in copies)
    raise StackError(f"no {name} is the owner now; name one of {said}")
