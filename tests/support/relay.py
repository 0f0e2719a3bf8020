"""A way between two processes that a test can cut without either of them noticing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from tests.support.ports import free_port

CHUNK_BYTES = 65_536


class Relay:
    """Passes bytes on to `port`. What is held back arrives when it is let go, in order."""

    def __init__(self, port: int) -> None:
        self.port = free_port()
        self.url = f"nats://127.0.0.1:{self.port}"
        self._target = port
        self._asks = asyncio.Event()
        self._answers = asyncio.Event()
        self.let_go()

    def hold(self, *, answers_only: bool = False) -> None:
        """Pass nothing on any more: in both directions, or only what comes back."""
        self._answers.clear()
        if not answers_only:
            self._asks.clear()

    def let_go(self) -> None:
        """Pass on what was held back, and what comes."""
        self._asks.set()
        self._answers.set()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until either side ends it."""
        with suppress(OSError):
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
            try:
                async with asyncio.TaskGroup() as tasks:
                    asks = tasks.create_task(_pass_on(reader, far_writer, self._asks))
                    answers = tasks.create_task(_pass_on(far_reader, writer, self._answers))
                    await asyncio.wait([asks, answers], return_when=asyncio.FIRST_COMPLETED)
                    asks.cancel()
                    answers.cancel()
            finally:
                far_writer.close()
        writer.close()


async def _pass_on(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, open_way: asyncio.Event
) -> None:
    with suppress(OSError):
        while part := await reader.read(CHUNK_BYTES):
            await open_way.wait()
            writer.write(part)
            await writer.drain()


@asynccontextmanager
async def relay_to(port: int) -> AsyncIterator[Relay]:
    """Serve as long as the block."""
    relay = Relay(port)
    server = await asyncio.start_server(relay.handle, "127.0.0.1", relay.port)
    async with server:
        yield relay
        relay.let_go()
        server.close()
