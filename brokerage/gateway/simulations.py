"""Passing on what a developer wants to happen to an order. Never served in production.

Plans go to the exchange's control panel, which is no part of its protocol: no order, no answer and
no report looks different for it.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import msgspec
import structlog

from brokerage.bus.connection import Bus, BusUnavailable, Respond
from brokerage.contracts.simulations import SIMULATIONS, SimulateReply, SimulateRequest
from brokerage.contracts.subjects import GATEWAY_QUEUE, GATEWAY_SIMULATE
from brokerage.gateway.exchange import ExchangeClient, NoAnswer
from brokerage.runtime.tasks import TaskSet

log = structlog.get_logger()

PLANS: Final = "/v1/control/plans"

_REQUEST = msgspec.json.Decoder(SimulateRequest)


class Simulations:
    """Takes plans as long as the block of `serving` lasts."""

    def __init__(self, bus: Bus, exchange: ExchangeClient, member: str) -> None:
        self._bus = bus
        self._exchange = exchange
        self._member = member
        self._answers = TaskSet()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Answer meanwhile."""

        def take(payload: bytes, respond: Respond) -> None:
            self._answers.spawn(self._answer(payload, respond), "answer-simulate")

        async with self._answers:
            subscription = await self._bus.serve(GATEWAY_SIMULATE, GATEWAY_QUEUE, take)
            try:
                yield
            finally:
                await subscription.drain()

    async def plan(self, request: SimulateRequest) -> SimulateReply:
        """Have the exchange plan it."""
        named = {"member": self._member, "clientOrderId": request.order_id}
        body = msgspec.json.encode({**SIMULATIONS[request.name].plan, **named})
        try:
            status = await self._exchange.post(PLANS, body)
        except NoAnswer as error:
            return SimulateReply("unknown", f"{error.code}: {error}")
        if status in (200, 201):
            return SimulateReply("planned")
        return SimulateReply("unsupported" if status == 404 else "unknown", f"it answered {status}")

    async def _answer(self, payload: bytes, respond: Respond) -> None:
        try:
            reply = await self.plan(_REQUEST.decode(payload))
        except Exception as error:
            # Whoever asked must hear it now, not after its timeout.
            log.exception("simulation_failed")
            reply = SimulateReply("unknown", repr(error)[:200])
        try:
            await respond(msgspec.json.encode(reply))
        except BusUnavailable as error:
            log.warning("simulation_reply_lost", error=str(error))
