"""What happens to a user's orders, through lost connections: all of it, once, in order.

A stream that is lost is opened again after the last event that was told, so nothing in between is
missed; what comes twice is not told twice, and a server that left something out is not believed.
"""

import asyncio
from collections.abc import AsyncGenerator
from typing import Final, Self

import msgspec

from client._transport import Transport
from client.errors import Unreachable
from client.models import Answer, Order
from client.reconnecting import (
    HEARTBEAT_DEFAULT_SECONDS,
    HEARTBEATS_MISSED_MAX,
    RECONNECT,
    Disconnected,
    reconnecting,
)
from client.retry import Backoff
from client.sse import EventDecoder, EventTooLarge, ServerEvent

PATH: Final = "/orders/stream"


class ReportedExecution(Answer, frozen=True, kw_only=True):
    """An execution as it stands after an event, of which a bust leaves no shares; of its `shares`,
    `booked_shares` are the customer's.
    """

    id: str
    shares: int
    price_cents: int
    booked_shares: int


class OrderEvent(Answer, frozen=True, kw_only=True):
    """One change of an order, which is shown as it was right after."""

    seq: int
    kind: str
    order: Order
    execution: ReportedExecution | None = None


class OrderEventPage(Answer, frozen=True, kw_only=True):
    """Events, ascending; there are more unless the last one's `seq` is `last_seq`."""

    items: tuple[OrderEvent, ...]
    last_seq: int


class Begun(Answer, frozen=True, kw_only=True):
    """A stream is open; it tells what comes after the event `after`."""

    after: int
    heartbeat_seconds: float = HEARTBEAT_DEFAULT_SECONDS


class Heartbeat(Answer, frozen=True, kw_only=True):
    """All events up to `last_seq` were told; None: the server cannot tell how many there are."""

    last_seq: int | None


class Reset(Answer, frozen=True, kw_only=True):
    """The log ends at `last_seq`, before what was told or asked for: what followed never was."""

    last_seq: int


OrderStreamEvent = OrderEvent | Begun | Heartbeat | Reset | Disconnected

_SHAPES: Final[dict[str, type[OrderEvent | Begun | Heartbeat | Reset]]] = {
    "order": OrderEvent,
    "hello": Begun,
    "heartbeat": Heartbeat,
    "reset": Reset,
}


class OrderEventStream:
    """The events after one, or from now on, for ever: iterate over them.

    One reader, who closes it (`contextlib.aclosing`) when done. Iterating raises a Problem when the
    server refuses the stream, and Unreachable when the first connection does not come about.
    """

    def __init__(
        self, transport: Transport, after: int | None, backoff: Backoff = RECONNECT
    ) -> None:
        self.position = after
        """The last event that was told; None before a stream that begins now has begun."""
        self._transport = transport
        self._events = reconnecting(
            transport,
            backoff,
            self._connect,
            lambda event: isinstance(event, OrderEvent | Heartbeat),
        )

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> OrderStreamEvent:
        return await anext(self._events)

    async def aclose(self) -> None:
        """End the stream."""
        await self._events.aclose()

    async def _connect(self, decoder: EventDecoder) -> AsyncGenerator[OrderStreamEvent, None]:
        """Yield what one connection has to tell. Raises Unreachable when it goes silent, or tells
        what cannot be.
        """
        silence_max_seconds = HEARTBEATS_MISSED_MAX * HEARTBEAT_DEFAULT_SECONDS
        headers = {} if self.position is None else {"Last-Event-ID": str(self.position)}
        async with self._transport.stream("GET", PATH, headers=headers) as response:
            chunks = response.aiter_bytes()
            while True:
                try:
                    async with asyncio.timeout(silence_max_seconds):
                        chunk = await anext(chunks, None)
                except TimeoutError as error:
                    raise Unreachable(f"silent for {silence_max_seconds:g} s") from error
                if chunk is None:
                    return
                for event in _decoded(decoder, chunk):
                    if isinstance(event, Begun):
                        silence_max_seconds = HEARTBEATS_MISSED_MAX * event.heartbeat_seconds
                    if self._is_news(event):
                        yield event

    def _is_news(self, event: OrderEvent | Begun | Heartbeat | Reset) -> bool:
        """Go on with an event; False if it was told before. Raises Unreachable for a hole."""
        match event:
            case Begun(after=after):
                self.position = after if self.position is None else self.position
            case Reset(last_seq=last_seq):
                self.position = last_seq
            case Heartbeat(last_seq=last_seq):
                self._check(last_seq or 0)
            case OrderEvent(seq=seq):
                if seq <= (self.position or 0):
                    return False
                self._check(seq - 1)
                self.position = seq
        return True

    def _check(self, told_seq: int) -> None:
        """All up to `told_seq` were told, or else the stream is not what it should be."""
        if told_seq > (self.position or 0):
            raise Unreachable(f"the server left out events after {self.position}")


def _decoded(decoder: EventDecoder, chunk: bytes) -> list[OrderEvent | Begun | Heartbeat | Reset]:
    """What a chunk completes. Raises Unreachable for what nobody can read."""
    try:
        return [
            msgspec.json.decode(event.data, type=_SHAPES[event.name])
            for event in decoder.feed(chunk)
            if _is_known(event)
        ]
    except (msgspec.DecodeError, EventTooLarge) as error:
        raise Unreachable(f"unreadable stream: {error!r}") from error


def _is_known(event: ServerEvent) -> bool:
    """False for an event that a later server may have added."""
    return event.name in _SHAPES
