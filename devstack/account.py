"""Who a child runs as: ourselves, or somebody with fewer rights, for what refuses root."""

import os
import pwd
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from devstack.errors import StackError


class SpawnAs(TypedDict, total=False):
    """The arguments of a subprocess that make it run as another user, with no further groups."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True)
class Account:
    """A user of this machine by its numbers."""

    name: str
    uid: int
    gid: int

    @property
    def spawn(self) -> SpawnAs:
        """Return what a subprocess needs to be told to run as this user."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def give(self, path: Path) -> None:
        """Make the folder or file belong to this user."""
        os.chown(path, self.uid, self.gid)


def unprivileged(name: str) -> Account | None:
    """Return the account for servers that refuse root; None if we are not root anyway.

    Raises `StackError` if we are root and there is no such user, or it is root as well.
    """
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise StackError(
            f"Postgres does not run as root and there is no user {name!r} to run it as; "
            "name one in SHERWOOD_POSTGRES_USER"
        ) from None
    if entry.pw_uid == 0:
        raise StackError(f"Postgres does not run as root, and {name!r} is root")
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
