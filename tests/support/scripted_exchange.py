"""An HTTP server that answers as a test tells it, or not at all, and counts its connections."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Hang:
    """Never answer; keep the connection."""


@dataclass(frozen=True, slots=True)
class Reset:
    """Cut the connection."""


Answer = tuple[int, bytes] | Hang | Reset
Script = Callable[[str, bytes], Answer]
"""From path and body to status and body, or to what goes wrong."""


class ScriptedExchange:
    """`script` decides each answer and may be replaced at any time; none is given unless
    `answering`.
    """

    def __init__(self, script: Script) -> None:
        self.script = script
        self.answering = asyncio.Event()
        self.answering.set()
        self.open_connections = 0
        self.connections_max = 0
        self.requests: list[str] = []
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, as long as the other side keeps it."""
        self.open_connections += 1
        self.connections_max = max(self.connections_max, self.open_connections)
        try:
            while await self._answer_one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open_connections -= 1
            writer.close()

    async def _answer_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        path = head.split(" ", 2)[1]
        length = 0
        for line in head.split("\r\n"):
            name, _, value = line.partition(":")
            if name.lower() == "content-length":
                length = int(value)
        body = await reader.readexactly(length)
        self.requests.append(path)
        await self.answering.wait()
        match self.script(path, body):
            case Hang():
                # Returns when the other side closes: that is how a hanging server notices.
                await reader.read()
                return False
            case Reset():
                writer.transport.abort()
                return False
            case (status, content):
                writer.write(
                    f"HTTP/1.1 {status} x\r\ncontent-length: {len(content)}\r\n\r\n".encode()
                    + content
                )
                await writer.drain()
                return True
        return False


@asynccontextmanager
async def scripted_exchange(script: Script) -> AsyncIterator[ScriptedExchange]:
    """Serve on a free port as long as the block."""
    exchange = ScriptedExchange(script)
    server = await asyncio.start_server(exchange.serve, "127.0.0.1", 0)
    exchange.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield exchange
        server.close()
