"""Placements that arrive together leave together, and a lone one waits for nobody.

One request is under way at a time. What arrives meanwhile gathers; right after an answer the next
request waits a moment for those that the answer set free elsewhere, unless it is full already.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import structlog

from brokerage.contracts.gateway import GatewayReply, PlaceRequest
from brokerage.gateway.metrics import BATCH_ORDERS, WAIT_SECONDS
from brokerage.runtime.tracing import Under, span, under_way
from exchange.protocol import BATCH_MAX

log = structlog.get_logger()

GATHER_SECONDS: Final = 0.003
"""How long after an answer the next request waits for more."""
HOLD_SECONDS: Final = 1.5
"""Who asked has given up by then, and the claim must outlive what is sent under it."""
QUEUE_MAX: Final = 5_000
"""More than this waiting are minutes of the exchange's time: later ones are told so at once."""

Send = Callable[[Sequence[PlaceRequest]], Awaitable[list[GatewayReply]]]


@dataclass(slots=True, eq=False)
class _Waiting:
    request: PlaceRequest
    reply: asyncio.Future[GatewayReply]
    since: float
    queued: bool = False
    under: Under = field(default_factory=under_way)


class Egress(Protocol):
    """`brokerage.gateway.egress.Egress`, or what stands in for it."""

    async def admit(self, request: PlaceRequest) -> str | None: ...

    async def free(self, request: PlaceRequest) -> None: ...

    def done(self, request: PlaceRequest) -> None: ...


class SendAlone(Exception):
    """One placement spoils the request for the others: nothing of it was taken."""


class PlacementBatcher:
    """Collects placements and sends them through `send`, at most `BATCH_MAX` at a time.

    `now_ms` is the wall clock that `send_by_ms` is compared with. `forbidden` is asked about each
    right before it leaves, and gives the code of what stands against that, or None. `egress` takes
    each in hand before it is queued. `run` does the sending and must run as long as placements are
    handed in.
    """

    def __init__(
        self,
        send: Send,
        now_ms: Callable[[], int],
        *,
        forbidden: Callable[[PlaceRequest], str | None] = lambda request: None,
        egress: Egress | None = None,
        gather_seconds: float = GATHER_SECONDS,
        queue_max: int = QUEUE_MAX,
    ) -> None:
        self._send = send
        self._now_ms = now_ms
        self._forbidden = forbidden
        self._egress = egress
        self._gather_seconds = gather_seconds
        self._queue_max = queue_max
        self._queue: deque[_Waiting] = deque()
        self._known: dict[str, _Waiting] = {}
        self._arrived = asyncio.Event()
        self._full = asyncio.Event()
        self._answered_at = float("-inf")
        self._stopped = False
        self._admitting = 0

    @property
    def waiting(self) -> int:
        """Placements that are not sent yet."""
        return len(self._queue)

    async def place(self, request: PlaceRequest) -> GatewayReply:
        """Send `request` with the next batch; one that is under way already is joined.

        Declined without being sent: `gateway-overloaded`, `gateway-stopping`, `past-send-by`,
        `waited-too-long`, what `forbidden` and `egress` say, and `terms-differ` for an id that is
        under way with other terms.
        """
        known = self._known.get(request.client_order_id)
        if known is not None:
            if known.request != request:
                return GatewayReply("declined", code="terms-differ")
            # A caller that goes away must not take the answer from the others.
            return await asyncio.shield(known.reply)
        if self._stopped:
            return GatewayReply("declined", code="gateway-stopping")
        if len(self._queue) + self._admitting >= self._queue_max:
            return GatewayReply("declined", code="gateway-overloaded")
        waiting = _Waiting(
            request, asyncio.get_running_loop().create_future(), since=time.monotonic()
        )
        self._known[request.client_order_id] = waiting
        if self._egress is None:
            self._enqueue(waiting)
            return await asyncio.shield(waiting.reply)
        return await self._place_in_hand(waiting, self._egress)

    async def _place_in_hand(self, waiting: _Waiting, egress: Egress) -> GatewayReply:
        request = waiting.request
        self._admitting += 1
        try:
            code = await egress.admit(request)
        except BaseException:
            self._settle(waiting, GatewayReply("declined", code="gateway-defect"))
            raise
        finally:
            self._admitting -= 1
        if code is not None:
            self._settle(waiting, GatewayReply("declined", code=code))
            return await waiting.reply
        if not waiting.reply.done():  # it is where `run` has ended meanwhile
            self._enqueue(waiting)
        reply = await asyncio.shield(waiting.reply)
        if reply.outcome == "accepted":
            egress.done(request)
        else:
            await egress.free(request)
        return reply

    def _enqueue(self, waiting: _Waiting) -> None:
        waiting.queued = True
        self._queue.append(waiting)
        self._arrived.set()
        if len(self._queue) >= BATCH_MAX:
            self._full.set()

    async def run(self) -> None:
        """Send what arrives until cancelled; what was not sent then is declined."""
        try:
            while True:
                await self._arrived.wait()
                await self._gather()
                await self._send_next()
        finally:
            self.stop()
            for waiting in list(self._known.values()):
                # One that is under way may be accepted: only those not yet or still queued are not.
                unsent = not waiting.queued or waiting in self._queue
                outcome = GatewayReply("declined" if unsent else "unknown", code="gateway-stopping")
                self._settle(waiting, outcome)
            self._queue.clear()

    def stop(self) -> None:
        """Take nothing new; what was taken is still sent."""
        self._stopped = True

    async def _gather(self) -> None:
        remaining_seconds = self._answered_at + self._gather_seconds - time.monotonic()
        if remaining_seconds <= 0 or len(self._queue) >= BATCH_MAX:
            return
        self._full.clear()
        try:
            async with asyncio.timeout(remaining_seconds):
                await self._full.wait()
        except TimeoutError:
            return

    async def _send_next(self) -> None:
        batch: list[_Waiting] = []
        now = time.monotonic()
        while self._queue and len(batch) < BATCH_MAX:
            waiting = self._queue.popleft()
            if (code := self._in_the_way(waiting)) is not None:
                self._settle(waiting, GatewayReply("declined", code=code))
                continue
            WAIT_SECONDS.observe(now - waiting.since)
            batch.append(waiting)
        if batch:
            BATCH_ORDERS.observe(len(batch))
            first, *others = [waiting.under for waiting in batch]
            with span("send placements", under=first, linked=others):
                replies = await self._send_safely(batch)
            for waiting, reply in zip(batch, replies, strict=True):
                self._settle(waiting, reply)
            self._answered_at = time.monotonic()
        if not self._queue:
            self._arrived.clear()

    def _in_the_way(self, waiting: _Waiting) -> str | None:
        """What stands against sending it at this moment."""
        if waiting.request.send_by_ms < self._now_ms():
            return "past-send-by"
        if waiting.since < time.monotonic() - HOLD_SECONDS:
            return "waited-too-long"
        return self._forbidden(waiting.request)

    async def _send_safely(self, batch: list[_Waiting]) -> list[GatewayReply]:
        try:
            return await self._send([waiting.request for waiting in batch])
        except SendAlone:
            return [await self._send_alone(waiting) for waiting in batch]
        except Exception as error:
            # A defect in reading one answer must not end the sending of all later orders.
            log.exception("placements_failed", orders=len(batch))
            return [GatewayReply("unknown", code="gateway-defect", reason=repr(error))] * len(batch)

    async def _send_alone(self, waiting: _Waiting) -> GatewayReply:
        # Those before it took their time: what was asked before may not hold any more.
        if (code := self._in_the_way(waiting)) is not None:
            return GatewayReply("declined", code=code)
        return (await self._send_safely([waiting]))[0]

    def _settle(self, waiting: _Waiting, reply: GatewayReply) -> None:
        self._known.pop(waiting.request.client_order_id, None)
        if not waiting.reply.done():
            waiting.reply.set_result(reply)
