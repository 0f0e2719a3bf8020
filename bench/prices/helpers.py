"""The publisher and the load client as this process sees them: asked, and answering."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from bench.children import ChildFailed
from bench.prices.messages import Failed
from devstack import spawn
from devstack.process import tail
from devstack.settings import CHECKOUT

LINE_BYTES_MAX: Final = 64 * 2**20
"""A minute of sampled ages is a few mebibytes."""
END_SECONDS: Final = 10.0

Reply = TypeVar("Reply", bound=msgspec.Struct)


class Helper:
    """A process of the measurement's own, spoken with in JSON lines."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self.name = name
        self.pid = process.pid
        self._process = process
        self._log = log

    async def tell(self, message: msgspec.Struct) -> None:
        """Send something that is not answered."""
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(message) + b"\n")
        await self._process.stdin.drain()

    async def ask(self, message: msgspec.Struct, reply: type[Reply], seconds: float = 0.0) -> Reply:
        """Send a command that takes so many seconds; return its answer. Raises `ChildFailed`."""
        assert self._process.stdout is not None
        try:
            await self.tell(message)
            async with asyncio.timeout(seconds + 120):
                line = await self._process.stdout.readline()
        except (OSError, TimeoutError) as error:
            raise ChildFailed(f"{self.name}: {error!r}\n{self._last_words()}") from error
        if not line:
            raise ChildFailed(f"{self.name} ended:\n{self._last_words()}")
        answer = msgspec.json.decode(line, type=dict[str, msgspec.Raw])
        if "failed" in answer:
            raise ChildFailed(f"{self.name}: {msgspec.json.decode(line, type=Failed).failed}")
        return msgspec.json.decode(line, type=reply)

    async def end(self) -> None:
        """Close its input and wait for it to end."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), END_SECONDS)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    def _last_words(self) -> str:
        return "\n".join(tail(self._log, 20))


@asynccontextmanager
async def helper(module: str, env: Mapping[str, str], log: Path) -> AsyncIterator[Helper]:
    """Run `python -m <module>` until the block ends."""
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", module),
            cwd=CHECKOUT,
            env=dict(env),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=output,
            limit=LINE_BYTES_MAX,
            start_new_session=True,
            preexec_fn=spawn.die_with_parent(signal.SIGKILL),
        )
    one = Helper(module, process, log)
    try:
        yield one
    finally:
        await one.end()
