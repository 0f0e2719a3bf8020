"""A way between two processes on which a test does what networks do.

async with proxy_to(server.url) as way, open_bus(way.url, "test") as bus:
    way.hold()          # nothing passes; what was held back arrives in order after `let_go`
    way.lose_answers()  # requests arrive; their answers never will
    way.slow(0.2)       # each piece waits so long, in both directions
    way.cut_after(100)  # the connection breaks on which so many bytes of answers have passed
    way.close_up()      # the connections break, and new ones are refused
    way.let_go()        # as if nothing had been; what lost answers breaks

`done` counts what it did to the traffic: a fault that met none did nothing.
"""

import asyncio
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final
from urllib.parse import urlsplit

from devstack.ports import HOST

CHUNK_BYTES: Final = 65_536
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


class FaultProxy:
    """Passes bytes on to what `address` names (`host:port`, or a URL with a port) while `serving`.

    It has its port from the start: who connects before it serves, waits.
    """

    def __init__(self, address: str) -> None:
        self._listener = socket.create_server((HOST, 0), backlog=256)
        target = urlsplit(address if "//" in address else f"//{address}")
        assert target.hostname is not None, address
        assert target.port is not None, address
        self._target = (target.hostname, target.port)
        user = target.netloc.rpartition("@")
        here = f"{user[0]}{user[1]}{HOST}:{self._listener.getsockname()[1]}"
        self.url: str = target._replace(netloc=here).geturl().removeprefix("//")
        """The address, with this in place of what it named."""
        self.done: Counter[str] = Counter()
        """`connections` carried; those `broken` or `refused`; bytes `held`, `slowed` or `lost`."""
        self._open: set[_Connection] = set()
        self._asks, self._answers = asyncio.Event(), asyncio.Event()
        self._losing = False
        self._refusing = False
        self._delay_seconds = 0.0
        self._answer_bytes_left: int | None = None
        self.let_go()

    @property
    def open_connections(self) -> int:
        """How many connections it carries now."""
        return len(self._open)

    def hold(self, *, answers_only: bool = False) -> None:
        """Pass nothing on any more: in both directions, or only what comes back."""
        self._answers.clear()
        if not answers_only:
            self._asks.clear()

    def lose_answers(self) -> None:
        """Pass on what is asked and drop what is answered; `let_go` breaks what lost something."""
        self._losing = True

    def slow(self, delay_seconds: float) -> None:
        """Let each piece wait so long before it is passed on."""
        self._delay_seconds = delay_seconds

    def cut_after(self, answer_bytes: int) -> None:
        """Break the connection on which so many bytes of answers have passed, in the middle."""
        self._answer_bytes_left = answer_bytes

    def break_all(self) -> None:
        """Reset every connection on both sides; new ones are welcome."""
        self.done["broken"] += len(self._open)
        for connection in [*self._open]:
            connection.reset()

    def close_up(self) -> None:
        """Reset every connection and refuse new ones."""
        self._refusing = True
        self.break_all()

    def let_go(self) -> None:
        """Pass on what was held back, and what comes; break the connections that lost bytes."""
        self._refusing = self._losing = False
        self._delay_seconds = 0.0
        self._answer_bytes_left = None
        # A stream with a hole in it cannot go on.
        for connection in [one for one in self._open if one.lost_bytes]:
            self.done["broken"] += 1
            connection.reset()
        self._asks.set()
        self._answers.set()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Carry connections as long as the block; those that came before it waited."""
        server = await asyncio.start_server(self._carry, sock=self._listener)
        async with server:
            try:
                yield
            finally:
                self.let_go()
                server.close()
                for connection in [*self._open]:
                    connection.reset()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing:
            self.done["refused"] += 1
            _reset(writer)
            return
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target)
        except OSError:
            _reset(writer)
            return
        connection = _Connection(writer, far_writer)
        self._open.add(connection)
        self.done["connections"] += 1
        try:
            async with asyncio.TaskGroup() as tasks:
                asks = tasks.create_task(self._pass_asks(reader, far_writer))
                answers = tasks.create_task(self._pass_answers(far_reader, connection))
                await asyncio.wait([asks, answers], return_when=asyncio.FIRST_COMPLETED)
                asks.cancel()
                answers.cancel()
        finally:
            self._open.discard(connection)
            writer.close()
            far_writer.close()

    async def _pass_asks(self, reader: asyncio.StreamReader, far: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while part := await reader.read(CHUNK_BYTES):
                await self._delay(self._asks, len(part))
                far.write(part)
                await far.drain()

    async def _pass_answers(self, far: asyncio.StreamReader, connection: "_Connection") -> None:
        near = connection.near
        with suppress(OSError):
            while part := await far.read(CHUNK_BYTES):
                await self._delay(self._answers, len(part))
                if self._losing:
                    self.done["lost"] += len(part)
                    connection.lost_bytes += len(part)
                    continue
                left = self._answer_bytes_left
                if left is None:
                    near.write(part)
                elif len(part) < left:
                    self._answer_bytes_left = left - len(part)
                    near.write(part)
                else:
                    near.write(part[:left])
                    self._answer_bytes_left = None
                    await near.drain()
                    # Those bytes arrive, so it is no reset, which would discard them.
                    self.done["broken"] += 1
                    return
                await near.drain()

    async def _delay(self, open_way: asyncio.Event, byte_count: int) -> None:
        if self._delay_seconds:
            self.done["slowed"] += byte_count
            await asyncio.sleep(self._delay_seconds)
        if not open_way.is_set():
            self.done["held"] += byte_count
            await open_way.wait()


class _Connection:
    """Both ends of one connection."""

    def __init__(self, near: asyncio.StreamWriter, far: asyncio.StreamWriter) -> None:
        self.near = near
        self.far = far
        self.lost_bytes = 0

    def reset(self) -> None:
        _reset(self.near)
        _reset(self.far)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close without a word, as a peer that vanished: the other side gets a reset."""
    with suppress(OSError):
        writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE
        )
    writer.transport.abort()


@asynccontextmanager
async def proxy_to(address: str) -> AsyncIterator[FaultProxy]:
    """Serve as long as the block."""
    proxy = FaultProxy(address)
    async with proxy.serving():
        yield proxy
