"""A stream that comes back after every lost connection, ever later while that is in vain."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, TypeVar

from client._transport import Transport
from client.errors import SherwoodError
from client.retry import Backoff
from client.sse import EventDecoder

Event = TypeVar("Event")

RECONNECT: Final = Backoff(first_seconds=0.5, max_seconds=15.0)
FIRST_CONNECTS_MAX: Final = 5
"""A server that was never there is given up after this many attempts; a lost one never."""
HEARTBEAT_DEFAULT_SECONDS: Final = 10.0
HEARTBEATS_MISSED_MAX: Final = 3


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The stream is lost; the next one is tried in `retry_seconds`."""

    reason: str
    retry_seconds: float


class Left(Exception):
    """The connection was left on purpose, for a new one; the message says why."""


async def reconnecting(
    transport: Transport,
    backoff: Backoff,
    connect: Callable[[EventDecoder], AsyncGenerator[Event, None]],
    proves_alive: Callable[[Event], bool],
) -> AsyncGenerator[Event | Disconnected, None]:
    """Yield the events of one connection after the other, and `Disconnected` between them.

    `connect` makes a connection; it raises `Left` to be called again at once. `proves_alive` is not
    true of a greeting: a server that greets and hangs up must be backed off from. Raises what the
    server refuses, and Unreachable when the first connection does not come about.
    """
    failures, was_connected, asked_seconds = 0, False, 0.0
    while True:
        decoder = EventDecoder()
        reason = "the server ended the stream"
        try:
            async with aclosing(connect(decoder)) as events:
                async for event in events:
                    if proves_alive(event):
                        failures, was_connected = 0, True
                    yield event
        except Left as left:
            yield Disconnected(str(left), 0.0)
            continue
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
