"""The gateway as a service on the bus: it takes requests, and answers every one of them."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import msgspec
import structlog

from brokerage.bus.connection import Bus, BusSubscription, BusUnavailable, Respond
from brokerage.contracts.gateway import CancelRequest, GatewayReply, PlaceRequest, QueryRequest
from brokerage.contracts.subjects import (
    GATEWAY_CANCEL,
    GATEWAY_PLACE,
    GATEWAY_QUERY,
    GATEWAY_QUEUE,
)
from brokerage.gateway.batching import PlacementBatcher
from brokerage.gateway.exchange import ExchangeClient
from brokerage.gateway.metrics import CALLS, PENDING
from brokerage.runtime.logs import bind
from brokerage.runtime.tasks import TaskSet
from brokerage.runtime.tracing import span

log = structlog.get_logger()

OTHERS_MAX: Final = 1_000
"""Cancels and queries that wait at once; later ones are told at once that nothing was done."""
FINISH_SECONDS: Final = 5.0
"""How long a gateway that stops goes on sending what it took; the rest is declined."""

Request = TypeVar("Request", PlaceRequest, CancelRequest, QueryRequest)

_ENCODER = msgspec.json.Encoder()


class GatewayService:
    """Serves placements, cancels and queries; `serve` runs until `stopping` is set."""

    def __init__(self, bus: Bus, exchange: ExchangeClient, batcher: PlacementBatcher) -> None:
        self._bus = bus
        self._exchange = exchange
        self._batcher = batcher
        self._answers = TaskSet()
        self._others = 0

    async def serve(
        self,
        stopping: asyncio.Event,
        on_ready: Callable[[], None],
        on_failure: Callable[[BaseException], None],
    ) -> None:
        """Answer until `stopping`, then finish what was taken; all of it is answered on return."""
        async with TaskSet(on_failure) as sending, self._answers:
            sender = sending.spawn(self._batcher.run(), "send-placements")
            subscriptions = [
                await self._listen(GATEWAY_PLACE, PlaceRequest, self._batcher.place),
                await self._listen(GATEWAY_CANCEL, CancelRequest, self._cancel),
                await self._listen(GATEWAY_QUERY, QueryRequest, self._query),
            ]
            await self._bus.flush()
            on_ready()
            await stopping.wait()
            await self._leave(subscriptions)
            await self._finish(FINISH_SECONDS)
            sender.cancel()
            await self._finish(1.0)

    async def _listen(
        self,
        subject: str,
        kind: type[Request],
        answer: Callable[[Request], Awaitable[GatewayReply]],
    ) -> BusSubscription:
        call = subject.rpartition(".")[2]
        decoder = msgspec.json.Decoder(kind)

        def take(payload: bytes, respond: Respond) -> None:
            try:
                request = decoder.decode(payload)
            except msgspec.DecodeError as error:
                # Nothing was sent, but only a placement has an outcome that says so.
                outcome: Any = "declined" if subject == GATEWAY_PLACE else "unknown"
                reply = GatewayReply(outcome, code="malformed-request", reason=str(error)[:200])
                self._answers.spawn(_respond(call, reply, respond), f"answer-{call}")
                return
            self._answers.spawn(self._answer(call, answer, request, respond), f"answer-{call}")

        return await self._bus.serve(subject, GATEWAY_QUEUE, take)

    async def _answer(
        self,
        call: str,
        answer: Callable[[Request], Awaitable[GatewayReply]],
        request: Request,
        respond: Respond,
    ) -> None:
        # Whose it is, the gateway does not know: the exchange is told a name that says nothing.
        bind(order_id=request.client_order_id)
        with PENDING.labels(call).track_inprogress(), span(f"gateway {call}", "server"):
            try:
                reply = await answer(request)
            except Exception as error:
                # Whoever asked must hear that it is unknown now, not after its timeout.
                log.exception("gateway_call_failed", call=call)
                reply = GatewayReply("unknown", code="gateway-defect", reason=repr(error))
            await _respond(call, reply, respond)

    async def _cancel(self, request: CancelRequest) -> GatewayReply:
        return await self._bounded(self._exchange.cancel, request)

    async def _query(self, request: QueryRequest) -> GatewayReply:
        return await self._bounded(self._exchange.query, request)

    async def _bounded(
        self, ask: Callable[[Request], Awaitable[GatewayReply]], request: Request
    ) -> GatewayReply:
        if self._others >= OTHERS_MAX:
            return GatewayReply("unknown", code="gateway-overloaded")
        self._others += 1
        try:
            return await ask(request)
        finally:
            self._others -= 1

    async def _leave(self, subscriptions: list[BusSubscription]) -> None:
        async with asyncio.TaskGroup() as leaving:
            for subscription in subscriptions:
                leaving.create_task(subscription.drain())

    async def _finish(self, timeout_seconds: float) -> None:
        """Wait until all that was taken is answered, or the time is over."""
        self._batcher.stop()
        await self._answers.join(timeout_seconds)


async def _respond(call: str, reply: GatewayReply, respond: Respond) -> None:
    CALLS.labels(call, reply.outcome).inc()
    if reply.outcome in ("unknown", "declined"):
        log.warning("gateway_no_answer", call=call, outcome=reply.outcome, code=reply.code)
    try:
        await respond(_ENCODER.encode(reply))
    except BusUnavailable as error:
        log.warning("gateway_reply_lost", call=call, outcome=reply.outcome, error=str(error))
