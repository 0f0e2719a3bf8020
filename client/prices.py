"""Live prices that survive lost connections.

What happened between two connections is not replayed, because only the newest price counts: each
connection begins with the newest price of every symbol asked for.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

import msgspec

from client._transport import Transport
from client.errors import SherwoodError, Unreachable
from client.models import Hello, Tick
from client.retry import Backoff
from client.sse import EventDecoder, EventTooLarge, ServerEvent

RECONNECT: Final = Backoff(first_seconds=0.5, max_seconds=15.0)
FIRST_CONNECTS_MAX: Final = 5
"""A server that was never there is given up after this many attempts; a lost one never."""
HEARTBEAT_DEFAULT_SECONDS: Final = 10.0
HEARTBEATS_MISSED_MAX: Final = 3


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


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The stream is lost; the next one is tried in `retry_seconds`."""

    reason: str
    retry_seconds: float


PriceEvent = Connected | Prices | Stale | Live | Disconnected


async def follow_prices(
    transport: Transport, symbols: tuple[str, ...], backoff: Backoff = RECONNECT
) -> AsyncGenerator[PriceEvent, None]:
    """Yield what happens to `symbols`, for ever.

    Raises a Problem when the server refuses the stream (an unknown symbol, no token), and
    Unreachable when the first connection does not come about.
    """
    failures, was_connected, asked_seconds = 0, False, 0.0
    while True:
        decoder = EventDecoder()
        reason = "the server ended the stream"
        try:
            async with aclosing(_events(transport, symbols, decoder)) as events:
                async for event in events:
                    # Not at `Connected`: a server that greets and hangs up must be backed off from.
                    if isinstance(event, Prices):
                        failures, was_connected = 0, True
                    yield event
        except SherwoodError as error:
            if not error.retryable or (not was_connected and failures + 1 >= FIRST_CONNECTS_MAX):
                raise
            reason = str(error)
            asked_seconds = error.retry_after_seconds or 0.0
        failures += 1
        retry_seconds = max(
            backoff.delay_seconds(failures), asked_seconds, decoder.retry_seconds or 0.0
        )
        asked_seconds = 0.0
        yield Disconnected(reason, retry_seconds)
        await transport.sleep(retry_seconds)


async def _events(
    transport: Transport, symbols: tuple[str, ...], decoder: EventDecoder
) -> AsyncGenerator[PriceEvent, None]:
    """Yield the events of one connection until it ends. Raises Unreachable when it goes silent."""
    silence_max_seconds = HEARTBEATS_MISSED_MAX * HEARTBEAT_DEFAULT_SECONDS
    body = {"symbols": list(symbols)}
    async with transport.stream("POST", "/subscribe", json=body) as response:
        chunks = response.aiter_bytes()
        while True:
            try:
                async with asyncio.timeout(silence_max_seconds):
                    chunk = await anext(chunks, None)
            except TimeoutError as error:
                raise Unreachable(f"silent for {silence_max_seconds:g} s") from error
            if chunk is None:
                return
            try:
                for event in decoder.feed(chunk):
                    if event.name == "hello":
                        hello = msgspec.json.decode(event.data, type=Hello)
                        if hello.heartbeat_seconds:
                            silence_max_seconds = HEARTBEATS_MISSED_MAX * hello.heartbeat_seconds
                        yield Connected(hello.stream_id)
                    else:
                        known = _read(event)
                        if known is not None:
                            yield known
            except (msgspec.DecodeError, EventTooLarge) as error:
                raise Unreachable(f"unreadable stream: {error!r}") from error


def _read(event: ServerEvent) -> PriceEvent | None:
    """Return what an event means; None for one that a later server may have added."""
    match event.name:
        case "prices":
            return Prices(msgspec.json.decode(event.data, type=tuple[Tick, ...]))
        case "stale":
            return Stale()
        case "live":
            return Live()
        case _:
            return None
