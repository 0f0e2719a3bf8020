"""Finding Temporal's command, which holds its development server.

In this order: the one that `SHERWOOD_TEMPORAL_BIN` names, a recent one on PATH, the cache, the
download that Temporal's SDK offers, and at last a build from Go modules into the cache.
"""

import asyncio
import os
import re
import shutil
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from devstack import spawn
from devstack.errors import StackError
from devstack.filelock import file_lock
from devstack.go_build import build_temporal
from devstack.process import Report
from devstack.settings import CHECKOUT, StackSettings, inherited_environment

VERSION: Final = "1.8.2"
SERVER_MINIMUM: Final = (1, 31)
"""Older servers fail updates to workflows that left the worker's cache."""

DOWNLOAD_SILENCE_SECONDS: Final = 20.0
"""A download that did not grow for this long is given up."""


async def find_temporal(settings: StackSettings, report: Report) -> Path:
    """Return a Temporal binary, obtaining one if there is none. Raises `StackError`."""
    if settings.temporal_bin is not None:
        if not os.access(settings.temporal_bin, os.X_OK):
            raise StackError(f"SHERWOOD_TEMPORAL_BIN: {settings.temporal_bin} cannot be run")
        return settings.temporal_bin
    on_path = shutil.which("temporal", path=settings.search_path)
    if on_path is not None and await is_recent(Path(on_path)):
        return Path(on_path)
    cached = settings.cache_folder / f"temporal-{VERSION}"
    if cached.exists():
        return cached
    started = time.monotonic()

    def waiting() -> None:
        seconds = int(time.monotonic() - started)
        report(f"another process obtains Temporal, waiting for it ({seconds} s)")

    async with file_lock(cached.with_name(f"{cached.name}.lock"), waiting):
        if not cached.exists():
            await _obtain(settings, cached, report)
    return cached


async def is_recent(binary: Path) -> bool:
    """True if the binary carries a server new enough for us."""
    try:
        text = await spawn.run(
            [str(binary), "--version"], environment=inherited_environment(), folder=CHECKOUT
        )
    except StackError:
        return False
    return server_version(text) >= SERVER_MINIMUM


def server_version(text: str) -> tuple[int, ...]:
    """Return the server's version from what `temporal --version` prints, () if it has none."""
    match = re.search(r"[Ss]erver (\d+)\.(\d+)", text)
    return tuple(int(part) for part in match.groups()) if match else ()


async def _obtain(settings: StackSettings, cached: Path, report: Report) -> None:
    draft_folder = cached.with_name(f"{cached.name}.{os.getpid()}.new")
    shutil.rmtree(draft_folder, ignore_errors=True)
    draft_folder.mkdir(parents=True)
    try:
        draft = await _download(draft_folder, report)
        if draft is None:
            draft = await build_temporal(VERSION, settings, draft_folder, report)
        draft.chmod(0o755)
        draft.rename(cached)  # whole or not at all
    finally:
        shutil.rmtree(draft_folder, ignore_errors=True)


async def _download(folder: Path, report: Report) -> Path | None:
    """Let the SDK download its server into `folder`; None where that does not get anywhere."""
    started = time.monotonic()
    # In a process of its own: the SDK offers no way to give up a download half way.
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "devstack.sdk_download", str(folder), f"v{VERSION}"),
        cwd=CHECKOUT,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=spawn.die_with_parent(signal.SIGKILL),
    )
    try:
        size, grew = 0, started
        while child.returncode is None and time.monotonic() - grew < DOWNLOAD_SILENCE_SECONDS:
            with suppress(TimeoutError):
                async with asyncio.timeout(0.5):
                    await child.wait()
            now = sum(path.stat().st_size for path in _files(folder))
            if now > size:
                size, grew = now, time.monotonic()
            elapsed = int(time.monotonic() - started)
            report(f"downloading Temporal {VERSION}: {size / 2**20:.0f} MB, {elapsed} s")
    finally:
        await spawn.kill_session(child)
    for path in _files(folder):
        if child.returncode == 0 and await is_recent(path):
            return path
    report("Temporal's download is out of reach from here")
    return None


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_file()]
