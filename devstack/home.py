"""The state folder: what the stack remembers from one start to the next, and who runs it now.

.sherwood/
  lock                 held by the supervisor as long as it lives
  state.json           what runs, where, as whom; rewritten at every change
  token-secret         signs development tokens
  postgres-password    lets our processes into Postgres
  logs/                one file a process
  postgres/ nats/ temporal/ exchange/    data of the servers
"""

import fcntl
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from devstack.errors import AlreadyRunning, StackError

MADE_HERE: Final = ("postgres", "nats", "temporal", "exchange", "logs")
"""Folders below home that `wipe` removes, and the only ones."""
FILES_MADE_HERE: Final = (
    "state.json",
    "state.json.new",
    "token-secret",
    "postgres-password",
    "lock",
)

OUTSIDE: Final = Path("/var/lib/sherwood")
"""Where root keeps what an unprivileged server must reach and cannot reach below home."""
OWNER_NOTE: Final = "belongs-to"


class Home:
    """The state folder of one stack."""

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser().resolve()
        self.logs = self.root / "logs"
        self.state_file = self.root / "state.json"

    def create(self) -> None:
        """Make the folder; what is secret in it has its own, tighter mode."""
        try:
            for folder in (self.root, self.logs):
                folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        except OSError as error:
            raise StackError(f"cannot make the state folder {self.root}: {error}") from error

    def log_of(self, name: str) -> Path:
        """Return the log file of the process `name`."""
        return self.logs / f"{name}.log"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder; the kernel lets go of it when this process ends, however it ends.

        Raises `AlreadyRunning` if another process holds it.
        """
        self.create()
        descriptor = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise AlreadyRunning(self._who_runs()) from None
            yield
        finally:
            os.close(descriptor)

    def is_held(self) -> bool:
        """True while a supervisor holds the folder."""
        try:
            descriptor = os.open(self.root / "lock", os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def _who_runs(self) -> str:
        supervisor = self.read_state().get("supervisor") or {}
        return f"already running (pid {supervisor.get('pid', 'unknown')}, state in {self.root})"

    def read_state(self) -> dict[str, Any]:
        """Return the last state written, {} if none was."""
        try:
            state = json.loads(self.state_file.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return {}
        return state if isinstance(state, dict) else {}

    def write_state(self, state: dict[str, Any]) -> None:
        """Replace the state; a reader sees the old one or the new one."""
        draft = self.root / "state.json.new"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(state, file, indent=1)
        draft.replace(self.state_file)

    def secret(self, name: str) -> str:
        """Return the secret kept in the file `name`, made at its first use; only we may read it."""
        path = self.root / name
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return path.read_text().strip()
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(48))
        return path.read_text().strip()

    @property
    def outside(self) -> Path:
        """The folder that stands in for this one where home cannot be reached; root only."""
        digest = hashlib.sha256(str(self.root).encode()).hexdigest()[:12]
        return OUTSIDE / f"{self.root.parent.name or 'stack'}-{digest}"

    def claim_outside(self) -> Path:
        """Make `outside` and note in it whose it is."""
        self.outside.mkdir(mode=0o755, parents=True, exist_ok=True)
        (self.outside / OWNER_NOTE).write_text(f"{self.root}\n")
        return self.outside

    def wipe(self) -> list[Path]:
        """Remove all data made for this home and return what was removed."""
        removed = []
        for path in (self.root / name for name in (*MADE_HERE, *FILES_MADE_HERE)):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.exists() or path.is_symlink():
                path.unlink()
            else:
                continue
            removed.append(path)
        note = self.outside / OWNER_NOTE
        if note.exists() and note.read_text().strip() == str(self.root):
            shutil.rmtree(self.outside)
            removed.append(self.outside)
        if self.root.exists() and not any(self.root.iterdir()):
            self.root.rmdir()
        return removed
