"""A copy of our own Postgres, taken while it runs, and put back while it does not."""

import asyncio
import shutil
from pathlib import Path
from typing import Final

from devstack import postgres, spawn
from devstack.errors import StackError
from devstack.home import Home
from devstack.ports import HOST
from devstack.settings import StackSettings

REPLACED: Final = "data.replaced"
"""Beside the data: what was there before the last `restore`."""


async def back_up(settings: StackSettings, home: Home, folder: Path) -> None:
    """Copy the data of the Postgres that runs for `home` to the new `folder`.

    Everything committed before the copy ends is in it. Raises `StackError`.
    """
    port, target = _own_port(settings, home), _new(folder)
    launcher = postgres.Launcher.of(settings, home)
    bin_folder = await launcher.reachable_binaries(lambda text: None)
    await spawn.run(
        (
            str(bin_folder / "pg_basebackup"),
            *("--host", HOST, "--port", str(port), "--username", postgres.USER),
            *("--pgdata", str(target), "--checkpoint", "fast", "--wal-method", "stream"),
        ),
        environment={**launcher.environment, "PGPASSWORD": home.secret(postgres.PASSWORD_FILE)},
        folder=Path("/"),
    )


async def put_back(settings: StackSettings, home: Home, folder: Path) -> Path:
    """Have the Postgres of `home`, which must be down, start with the backup in `folder`.

    Returns where the data lies that it replaces. Raises `StackError`.
    """
    if settings.database_url is not None:
        raise StackError("SHERWOOD_DATABASE_URL names a server that is not ours to restore")
    launcher = postgres.Launcher.of(settings, home)
    base = await launcher.base()
    return await asyncio.to_thread(_exchange_data, launcher, folder, base)


def _exchange_data(launcher: postgres.Launcher, folder: Path, base: Path) -> Path:
    """Whole or not at all: the copy gets its name last."""
    if not (folder / "backup_label").exists():
        raise StackError(f"{folder} holds no backup")
    data, draft, replaced = base / "data", base / "data.new", base / REPLACED
    shutil.rmtree(draft, ignore_errors=True)
    shutil.copytree(folder, draft, symlinks=True)
    launcher.give_all(draft)
    if data.exists():
        shutil.rmtree(replaced, ignore_errors=True)
        data.rename(replaced)
    draft.rename(data)
    return replaced


def _new(folder: Path) -> Path:
    if folder.exists() and any(folder.iterdir()):
        raise StackError(f"{folder} is not empty: a backup needs a folder of its own")
    return folder.resolve()


def _own_port(settings: StackSettings, home: Home) -> int:
    port = (home.read_state().get("ports") or {}).get("postgres")
    if settings.database_url is not None:
        raise StackError("SHERWOOD_DATABASE_URL names a server that is not ours to copy")
    if not home.is_held() or port is None:
        raise StackError("no Postgres of ours runs: start it with `make up`")
    return int(port)
