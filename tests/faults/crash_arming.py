"""Armed faults, as files that both sides see: the test that arms, the process that is struck.

`armed/<id>` is a fault that waits for its call; `fired/<id>` says that it struck, and is there
before the process dies of it. A fault strikes once, in whichever process comes first.
"""

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.faults.crash_points import Action, Point


@dataclass(frozen=True, slots=True)
class Fired:
    """A fault that struck: the process it struck, and when (monotonic seconds)."""

    pid: int
    at: float


@dataclass(frozen=True, slots=True)
class Fault:
    """One armed fault; it strikes a call in which one of `names` occurs."""

    folder: Path
    id: str
    point: str
    action: Action
    names: tuple[str, ...]

    def fired(self) -> Fired | None:
        """Where and when it struck; None while it has not."""
        try:
            return Fired(**json.loads((self.folder / "fired" / self.id).read_text()))
        except FileNotFoundError:
            return None

    def disarm(self) -> None:
        """Have it strike nothing any more."""
        (self.folder / "armed" / self.id).unlink(missing_ok=True)

    def fire(self, pid: int) -> bool:
        """Note that it strikes now; False if another process was first."""
        record = json.dumps({"pid": pid, "at": time.monotonic()})
        written = self.folder / f"{self.id}-{pid}"
        written.write_text(record)
        try:
            # Whole or not at all, and only the first: a link never replaces.
            (self.folder / "fired" / self.id).hardlink_to(written)
        except FileExistsError:
            return False
        finally:
            written.unlink()
            self.disarm()
        return True


class Arsenal:
    """The faults of one stack, in a folder of theirs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._armed = folder / "armed"
        for name in ("armed", "fired"):
            (folder / name).mkdir(parents=True, exist_ok=True)

    def arm(self, point: Point, action: Action, *names: str) -> Fault:
        """Have the next call at `point` that names one of `names` fail so."""
        fault = Fault(self.folder, uuid4().hex, point.name, action, names)
        written = self.folder / fault.id
        written.write_text(json.dumps({"point": point.name, "action": action, "names": names}))
        written.rename(self._armed / fault.id)
        return fault

    def armed(self) -> Iterator[Fault]:
        """What waits for its call."""
        for path in self._armed.iterdir():
            with suppress(FileNotFoundError):  # another process was first
                terms: dict[str, Any] = json.loads(path.read_text())
                yield Fault(
                    self.folder, path.name, terms["point"], terms["action"], tuple(terms["names"])
                )
