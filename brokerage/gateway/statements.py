"""The exchange's statement, page by page, beside what trades.

A page takes the connection that also carries cancels for some milliseconds. So one page is asked
for at a time, whoever asks, and placements have a connection of their own.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar
from urllib.parse import urlencode

import msgspec
import structlog

from brokerage.bus.connection import Bus, BusUnavailable, Respond
from brokerage.contracts.statements import (
    PositionsRequest,
    StatedOrder,
    StatedPositions,
    Statement,
    StatementRequest,
)
from brokerage.contracts.subjects import GATEWAY_POSITIONS, GATEWAY_QUEUE, GATEWAY_STATEMENT
from brokerage.gateway.exchange import ExchangeClient, Malformed, NoAnswer
from brokerage.gateway.metrics import CALLS
from brokerage.gateway.reports import report_of
from brokerage.runtime.tasks import TaskSet
from exchange import protocol

log = structlog.get_logger()

FINISH_SECONDS: Final = 2.0

_Request = TypeVar("_Request", StatementRequest, PositionsRequest)
_Answer = Statement | StatedPositions


class Statements:
    """Serves statements as long as the block of `serving` lasts."""

    def __init__(self, bus: Bus, exchange: ExchangeClient) -> None:
        self._bus = bus
        self._exchange = exchange
        self._turn = asyncio.Lock()
        self._answers = TaskSet()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Answer meanwhile; what was taken is answered on the way out."""
        async with self._answers:
            subscriptions = [
                await self._bus.serve(
                    GATEWAY_STATEMENT, GATEWAY_QUEUE, self._taking(StatementRequest, self.page)
                ),
                await self._bus.serve(
                    GATEWAY_POSITIONS, GATEWAY_QUEUE, self._taking(PositionsRequest, self.positions)
                ),
            ]
            try:
                yield
            finally:
                for subscription in subscriptions:
                    await subscription.drain()
                await self._answers.join(FINISH_SECONDS)

    async def page(self, request: StatementRequest) -> Statement:
        """Ask for one page."""
        query: dict[str, object] = {"after": request.after}
        if request.sequence is not None:
            query["sequence"] = request.sequence
        if request.order_ids:
            query["ids"] = request.order_ids
        try:
            page = await self._exchange.read(
                f"/v1/statement?{urlencode(query, doseq=True)}", protocol.StatementPage
            )
        except (NoAnswer, Malformed) as error:
            return Statement("unknown", code=error.code, reason=str(error))
        return Statement(
            "stated", page.sequence, [_order(one) for one in page.items], page.next_after
        )

    async def positions(self, request: PositionsRequest) -> StatedPositions:
        """Ask what all executions come to."""
        query = "" if request.sequence is None else f"?sequence={request.sequence}"
        try:
            stated = await self._exchange.read(
                f"/v1/statement/positions{query}", protocol.PositionStatement
            )
        except (NoAnswer, Malformed) as error:
            return StatedPositions("unknown", code=error.code, reason=str(error))
        return StatedPositions("stated", stated.sequence, stated.cash_cents, stated.shares)

    def _taking(
        self, kind: type[_Request], answer: Callable[[_Request], Awaitable[_Answer]]
    ) -> Callable[[bytes, Respond], None]:
        decoder = msgspec.json.Decoder(kind)

        def take(payload: bytes, respond: Respond) -> None:
            self._answers.spawn(self._answer(decoder, answer, payload, respond), "answer-statement")

        return take

    async def _answer(
        self,
        decoder: "msgspec.json.Decoder[Any]",
        answer: Callable[[Any], Awaitable[_Answer]],
        payload: bytes,
        respond: Respond,
    ) -> None:
        try:
            if self._turn.locked():
                reply: _Answer = Statement("unknown", code="gateway-busy")
            else:
                async with self._turn:
                    reply = await answer(decoder.decode(payload))
        except Exception as error:
            # Whoever asked must hear it now, not after its timeout.
            log.exception("statement_failed")
            reply = Statement("unknown", code="gateway-defect", reason=repr(error)[:200])
        CALLS.labels("statement", reply.outcome).inc()
        try:
            await respond(msgspec.json.encode(reply))
        except BusUnavailable as error:
            log.warning("statement_lost", error=str(error))


def _order(stated: protocol.StatedOrder) -> StatedOrder:
    order = stated.order
    return StatedOrder(
        client_order_id=order.client_order_id,
        external_order_id=order.order_id,
        account_ref=order.account,
        symbol=order.symbol,
        side=order.side,
        shares=order.shares,
        price_cents=order.price_cents,
        time_in_force=order.time_in_force,
        placed_at_ms=order.placed_at_ms,
        status=order.status,
        reason=order.reason,
        cumulative_shares=order.cumulative_shares,
        cumulative_notional_cents=order.cumulative_notional_cents,
        reports=[report_of(message) for message in stated.messages],
        is_cut=stated.is_cut,
    )
