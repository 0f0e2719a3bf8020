"""Asking the gateway: what an activity uses to place, cancel and look up orders."""

from typing import Final

import msgspec

from brokerage.bus.connection import Bus, BusUnavailable
from brokerage.contracts.gateway import CancelRequest, GatewayReply, PlaceRequest, QueryRequest
from brokerage.contracts.subjects import GATEWAY_CANCEL, GATEWAY_PLACE, GATEWAY_QUERY
from brokerage.runtime.tracing import span

CALL_SECONDS: Final = 1.25
"""A little more than the gateway gives one call of the exchange."""

_ENCODER = msgspec.json.Encoder()
_REPLY = msgspec.json.Decoder(GatewayReply)


class GatewayClient:
    """Three questions to the gateway over the bus.

    Nothing that goes wrong on the way raises: no gateway, no answer in time, an answer that cannot
    be read are all outcome `unknown`, because the request may have reached the exchange.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def place(
        self, request: PlaceRequest, timeout_seconds: float = CALL_SECONDS
    ) -> GatewayReply:
        """`accepted`, `refused`, `declined` or `unknown`."""
        return await self._ask(GATEWAY_PLACE, request, timeout_seconds)

    async def cancel(
        self, request: CancelRequest, timeout_seconds: float = CALL_SECONDS
    ) -> GatewayReply:
        """`cancelled`, `too-late`, `absent`, `refused` or `unknown`."""
        return await self._ask(GATEWAY_CANCEL, request, timeout_seconds)

    async def query(
        self, request: QueryRequest, timeout_seconds: float = CALL_SECONDS
    ) -> GatewayReply:
        """`found`, `absent` or `unknown`."""
        return await self._ask(GATEWAY_QUERY, request, timeout_seconds)

    async def _ask(
        self,
        subject: str,
        request: PlaceRequest | CancelRequest | QueryRequest,
        timeout_seconds: float,
    ) -> GatewayReply:
        try:
            with span(f"ask {subject}", "client"):
                payload = await self._bus.request(
                    subject, _ENCODER.encode(request), timeout_seconds
                )
        except BusUnavailable as error:
            return GatewayReply("unknown", code="gateway-unreachable", reason=str(error))
        try:
            return _REPLY.decode(payload)
        except msgspec.DecodeError as error:
            return GatewayReply("unknown", code="gateway-unreadable", reason=str(error))
