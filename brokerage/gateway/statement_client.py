"""Asking the gateway for the exchange's statement."""

from typing import Final, TypeVar

import msgspec

from brokerage.bus.connection import Bus, BusUnavailable
from brokerage.contracts.statements import (
    PositionsRequest,
    StatedPositions,
    Statement,
    StatementRequest,
)
from brokerage.contracts.subjects import GATEWAY_POSITIONS, GATEWAY_STATEMENT

CALL_SECONDS: Final = 4.0
"""More than the wait for a turn on the gateway's connection and the call itself."""

_Answer = TypeVar("_Answer", Statement, StatedPositions)


class StatementClient:
    """Two questions to the gateway; what goes wrong on the way is outcome `unknown`."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def page(self, request: StatementRequest) -> Statement:
        """A page of orders."""
        return await self._ask(GATEWAY_STATEMENT, request, Statement)

    async def positions(self, request: PositionsRequest) -> StatedPositions:
        """What all executions come to."""
        return await self._ask(GATEWAY_POSITIONS, request, StatedPositions)

    async def _ask(
        self, subject: str, request: StatementRequest | PositionsRequest, kind: type[_Answer]
    ) -> _Answer:
        try:
            payload = await self._bus.request(subject, msgspec.json.encode(request), CALL_SECONDS)
            return msgspec.json.decode(payload, type=kind)
        except BusUnavailable as error:
            return kind("unknown", code="gateway-unreachable", reason=str(error))
        except msgspec.DecodeError as error:
            return kind("unknown", code="gateway-unreadable", reason=str(error))
