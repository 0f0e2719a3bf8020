"""A real NATS server with JetStream, on a port of its own."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from devstack import spawn
from devstack.nats import binary
from tests.support.eventually import eventually
from tests.support.ports import accepts, free_port
from tests.support.running import ROOT, inherited


class NatsServer:
    """Can be ended and started again on the same port, with what it had on disk."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"nats://127.0.0.1:{self.port}"
        self._monitor_port = free_port()
        self.monitor_url = f"http://127.0.0.1:{self._monitor_port}"
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Return when it takes connections."""
        options = (
            *("-a", "127.0.0.1", "-p", str(self.port), "-m", str(self._monitor_port)),
            *("-js", "-sd", str(self._folder)),
        )
        self._process = await spawn.spawn(
            (str(binary()), *options),
            environment=inherited(),
            folder=ROOT,
            log=asyncio.subprocess.DEVNULL,
            account=None,
            death_signal=signal.SIGKILL,
        )
        await eventually(lambda: accepts(self.port), "NATS listens")

    async def kill(self) -> None:
        """End it as a crash would."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    def pause(self) -> None:
        """Freeze it: connections stay open and nothing answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


@asynccontextmanager
async def nats_server(folder: Path) -> AsyncIterator[NatsServer]:
    """Run one as long as the block."""
    server = NatsServer(folder)
    await server.start()
    try:
        yield server
    finally:
        await server.kill()
