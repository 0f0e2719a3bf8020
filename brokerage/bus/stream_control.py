"""Changing a live stream from any node: its id names the node that holds it, and that is asked.

The holder makes the changes of one stream one after the other, in the order in which they reached
it, each of them whole: the stream shows what the last one asked for. A change that was answered is
made; one whose answer was lost may be made for as long as it is good, and is void afterwards.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final, Protocol

import msgspec
import structlog

from brokerage.bus.connection import (
    Bus,
    BusSubscription,
    BusUnavailable,
    NobodyListens,
    Respond,
)
from brokerage.bus.metrics import STREAM_CHANGES
from brokerage.contracts.streams import ChangeReply, ChangeRequest, node_of_stream
from brokerage.contracts.subjects import streams_subject
from brokerage.runtime.tasks import TaskSet

log = structlog.get_logger()

CHANGE_SECONDS: Final = 2.5
"""How long the holder tries; it has to ask NATS for what it does not follow yet."""
ANSWER_SECONDS: Final = 3.0
GOOD_SECONDS: Final = 10.0
"""Later a change is void: the user may have asked for something else meanwhile, through another
node. Clocks of nodes may differ by less than this."""
SETTLE_SECONDS: Final = 5.0
"""After NATS was away its clients come back one by one: a node that is not heard of within this
time of our own return is not yet known to be gone."""
PER_STREAM_MAX: Final = 8
UNDER_WAY_MAX: Final = 1_000

_ENCODER: Final = msgspec.json.Encoder()
_REQUESTS: Final = msgspec.json.Decoder(ChangeRequest)
_REPLIES: Final = msgspec.json.Decoder(ChangeReply)


class StreamHolder(Protocol):
    """The hub, as far as it is needed here."""

    async def change(self, stream_id: str, user_id: str, symbols: Sequence[str]) -> bool:
        """False: the user has no such stream here. Raises `BusUnavailable`; nothing changed then.

        May be cancelled; nothing changed then either.
        """
        ...


class _Turn:
    """The changes of one stream that were asked for and are not made yet."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.count = 0


class StreamControl:
    """Opened and closed by `open_stream_control`. `now_ms` is the wall clock."""

    def __init__(
        self,
        bus: Bus,
        node_id: str,
        holder: StreamHolder,
        tasks: TaskSet,
        now_ms: Callable[[], int],
    ) -> None:
        self._bus = bus
        self._node_id = node_id
        self._holder = holder
        self._tasks = tasks
        self._now_ms = now_ms
        # By user too: what a stranger asks for must not stand in the way.
        self._turns: dict[tuple[str, str], _Turn] = {}

    async def change(self, stream_id: str, user_id: str, symbols: Sequence[str]) -> bool:
        """Let a stream of any node show `symbols`; False if the user has none of this id.

        Raises `BusUnavailable` when that cannot be told in time; see above what may happen then.
        Repeating it is safe.
        """
        node_id = node_of_stream(stream_id)
        if node_id is None:
            return False
        request = ChangeRequest(
            stream_id, user_id, tuple(symbols), self._now_ms() + int(GOOD_SECONDS * 1000)
        )
        if node_id == self._node_id:
            # Without the detour it also works while NATS is away.
            reply = await self._make(request)
        else:
            reply = await self._ask(node_id, request)
        if reply.outcome == "unavailable":
            raise BusUnavailable(f"{stream_id}: its node cannot change it now")
        return reply.outcome == "changed"

    async def serve(self) -> BusSubscription:
        """Begin to take what other nodes ask."""
        return await self._bus.serve(streams_subject(self._node_id), "", self._take)

    async def _ask(self, node_id: str, request: ChangeRequest) -> ChangeReply:
        if not self._bus.connected:
            # The driver would keep it and send it when nobody waits for the answer any more.
            raise BusUnavailable("no link")
        try:
            payload = await self._bus.request(
                streams_subject(node_id), _ENCODER.encode(request), ANSWER_SECONDS
            )
            return _REPLIES.decode(payload)
        except NobodyListens:
            if not self._bus.has_settled(SETTLE_SECONDS):
                raise
            return ChangeReply("not-found")
        except msgspec.DecodeError as error:
            raise BusUnavailable(f"{node_id} answers what nobody understands") from error

    def _take(self, payload: bytes, respond: Respond) -> None:
        if len(self._tasks) >= UNDER_WAY_MAX:
            STREAM_CHANGES.labels("dropped").inc()
            return
        try:
            request = _REQUESTS.decode(payload)
        except msgspec.DecodeError as error:
            log.warning("stream_change_unreadable", error=str(error))
            return
        self._tasks.spawn(self._answer(request, respond), "stream-change")

    async def _answer(self, request: ChangeRequest, respond: Respond) -> None:
        reply = await self._make(request)
        try:
            await respond(_ENCODER.encode(reply))
        except BusUnavailable as error:
            log.warning("stream_change_reply_lost", stream=request.stream_id, error=str(error))

    async def _make(self, request: ChangeRequest) -> ChangeReply:
        key = request.stream_id, request.user_id
        turn = self._turns.setdefault(key, _Turn())
        turn.count += 1
        try:
            reply = await self._in_turn(turn, request)
        finally:
            turn.count -= 1
            if not turn.count:
                del self._turns[key]
        STREAM_CHANGES.labels(reply.outcome).inc()
        return reply

    async def _in_turn(self, turn: _Turn, request: ChangeRequest) -> ChangeReply:
        if turn.count > PER_STREAM_MAX:
            return ChangeReply("unavailable")
        try:
            async with asyncio.timeout(CHANGE_SECONDS), turn.lock:
                if self._now_ms() > request.good_until_ms:
                    return ChangeReply("unavailable")
                changed = await self._holder.change(
                    request.stream_id, request.user_id, request.symbols
                )
        except (BusUnavailable, TimeoutError) as error:
            log.warning("stream_not_changed", stream=request.stream_id, error=repr(error))
            return ChangeReply("unavailable")
        return ChangeReply("changed" if changed else "not-found")


@asynccontextmanager
async def open_stream_control(
    bus: Bus,
    node_id: str,
    holder: StreamHolder,
    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
) -> AsyncIterator[StreamControl]:
    """Serve the streams of `holder` as long as the block, and ask for those of other nodes."""
    async with TaskSet() as tasks:
        control = StreamControl(bus, node_id, holder, tasks, now_ms)
        subscription = await control.serve()
        try:
            yield control
        finally:
            await subscription.close()
