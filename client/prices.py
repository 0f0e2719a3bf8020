"""Live prices that survive lost connections.

What happened between two connections is not replayed, because only the newest price counts: each
connection begins with the newest price of every symbol asked for.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import quote

import msgspec

from client._transport import Transport
from client.errors import NotFound, SherwoodError, Unreachable
from client.models import Hello, Tick
from client.reconnecting import (
    HEARTBEAT_DEFAULT_SECONDS,
    HEARTBEATS_MISSED_MAX,
    RECONNECT,
    Disconnected,
    Left,
    reconnecting,
)
from client.retry import Backoff
from client.sse import EventDecoder, EventTooLarge, ServerEvent


@dataclass(frozen=True, slots=True)
class Connected:
    """A stream is open; what is known of older ones no longer counts."""

    stream_id: str | None


@dataclass(frozen=True, slots=True)
class Prices:
    """New prices, one tick a symbol at most."""

    ticks: tuple[Tick, ...]


@dataclass(frozen=True, slots=True)
class Stale:
    """The exchange's feed is silent: prices may be old until `Live`."""


@dataclass(frozen=True, slots=True)
class Live:
    """The exchange's feed is back."""


GONE: Final = "the server no longer has the stream"

PriceEvent = Connected | Prices | Stale | Live | Disconnected


class PriceStream:
    """The live prices of some symbols, for ever: iterate over what happens to them.

    One reader, who closes it (`contextlib.aclosing`) when done; `change` may be called meanwhile
    by anybody. Iterating raises a Problem when the server refuses the stream (an unknown symbol, no
    token), and Unreachable when the first connection does not come about.
    """

    def __init__(
        self, transport: Transport, symbols: tuple[str, ...], backoff: Backoff = RECONNECT
    ) -> None:
        self._transport = transport
        self._symbols = symbols
        self._changing = asyncio.Lock()
        self._connection: _Connection | None = None
        self._events = reconnecting(
            transport, backoff, self._connect, lambda event: isinstance(event, Prices)
        )

    @property
    def symbols(self) -> tuple[str, ...]:
        """What is wanted: what every connection from now on asks for."""
        return self._symbols

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> PriceEvent:
        return await anext(self._events)

    async def aclose(self) -> None:
        """End the stream."""
        await self._events.aclose()

    async def change(self, symbols: Iterable[str]) -> None:
        """Watch `symbols` instead of those watched now. Changes are made in turn; the last stays.

        What is new comes as `Prices`; of what is not wanted any more some may still be on its way.
        Where the open stream turns out to have ended it is left, and the next one asks for
        `symbols`. Without a connection only that happens, and if the server refuses them then, it
        is the iteration that raises.

        Raises Refused for what the server does not take: nothing is changed then. After Unavailable
        and Unreachable it may be; the next connection asks for `symbols` in any case.
        """
        async with self._changing:
            before, self._symbols = self._symbols, tuple(symbols)
            try:
                await self._tell()
            except SherwoodError as error:
                if not error.retryable:
                    self._symbols = before
                raise

    async def _tell(self) -> None:
        """Tell the server what is wanted, where a stream is open."""
        connection = self._connection
        if connection is None:
            return
        path = f"/subscribe/{quote(connection.stream_id, safe='')}"
        try:
            await self._transport.request("PATCH", path, json={"symbols": list(self._symbols)})
        except NotFound:
            connection.leave()

    async def _take(
        self, connection: "_Connection", stream_id: str, asked: tuple[str, ...]
    ) -> None:
        """From now on changes go to this connection; it is told of one that came meanwhile."""
        connection.stream_id, self._connection = stream_id, connection
        if asked != self._symbols:
            async with self._changing:
                await self._tell()

    async def _connect(self, decoder: EventDecoder) -> AsyncGenerator[PriceEvent, None]:
        """Yield the events of one connection until it ends.

        Raises Unreachable when it goes silent, and Left when it is to be left.
        """
        silence_max_seconds = HEARTBEATS_MISSED_MAX * HEARTBEAT_DEFAULT_SECONDS
        asked = self._symbols
        body = {"symbols": list(asked)}
        connection = _Connection()
        try:
            async with self._transport.stream("POST", "/subscribe", json=body) as response:
                chunks = response.aiter_bytes()
                while (chunk := await connection.next(chunks, silence_max_seconds)) is not None:
                    for event in _decoded(decoder, chunk):
                        if not isinstance(event, Hello):
                            yield event
                            continue
                        if event.heartbeat_seconds:
                            silence_max_seconds = HEARTBEATS_MISSED_MAX * event.heartbeat_seconds
                        if event.stream_id is not None:
                            await self._take(connection, event.stream_id, asked)
                        yield Connected(event.stream_id)
        finally:
            self._connection = None


class _Connection:
    """The open stream: where it is waited for, and from where that can be ended."""

    def __init__(self) -> None:
        self.stream_id = ""
        self._left = False
        self._wait: asyncio.Timeout | None = None

    def leave(self) -> None:
        """Let the wait for the next chunk, this one or a later one, end with Left."""
        self._left = True
        if self._wait is not None and not self._wait.expired():
            self._wait.reschedule(asyncio.get_running_loop().time())

    async def next(self, chunks: AsyncIterator[bytes], silence_max_seconds: float) -> bytes | None:
        """Return the next chunk, None at the end. Raises Unreachable after too long a silence."""
        if self._left:
            raise Left(GONE)
        try:
            async with asyncio.timeout(silence_max_seconds) as self._wait:
                return await anext(chunks, None)
        except TimeoutError as error:
            if self._left:
                raise Left(GONE) from error
            raise Unreachable(f"silent for {silence_max_seconds:g} s") from error
        finally:
            self._wait = None


def _decoded(decoder: EventDecoder, chunk: bytes) -> Iterator[PriceEvent | Hello]:
    """Yield what a chunk completes. Raises Unreachable for what nobody can read."""
    try:
        for event in decoder.feed(chunk):
            known = _read(event)
            if known is not None:
                yield known
    except (msgspec.DecodeError, EventTooLarge) as error:
        raise Unreachable(f"unreadable stream: {error!r}") from error


def _read(event: ServerEvent) -> PriceEvent | Hello | None:
    """Return what an event means; None for one that a later server may have added."""
    match event.name:
        case "hello":
            return msgspec.json.decode(event.data, type=Hello)
        case "prices":
            return Prices(msgspec.json.decode(event.data, type=tuple[Tick, ...]))
        case "stale":
            return Stale()
        case "live":
            return Live()
        case _:
            return None
