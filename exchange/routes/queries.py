"""What members can ask: orders, executions, and the state of the exchange."""

import math
from time import monotonic

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from exchange.desk import Desk, answer, member_of, problem, whole_number
from exchange.faults import Call
from exchange.protocol import PAGE_MAX, ExecutionPage, OrderPage, Status
from exchange.records import Order

_PAGE: int = 100
_AFTER_MAX = 2**53


def query_routes(desk: Desk) -> APIRouter:
    """Return the routes that change nothing."""
    router = APIRouter(tags=["queries"])
    rate = TradeRate()

    @router.get("/v1/orders", summary="The member's orders, as they arrived")
    async def orders(request: Request) -> Response:
        member = member_of(request, desk, "query")

        async def carry_out() -> Response:
            after = whole_number(request, "after", 0, at_most=_AFTER_MAX)
            limit = max(1, whole_number(request, "limit", _PAGE, at_most=PAGE_MAX))
            found = desk.venue.journal.orders_page(member, after, limit)
            items = [order.report() for order in found if not desk.is_hidden(order.order_id)]
            next_after = str(found[-1].number) if len(found) == limit else None
            return answer(OrderPage(items, next_after))

        return await desk.strike(request, [Call("query", member)], carry_out)

    @router.get(
        "/v1/orders/by-client-id/{client_order_id}", summary="One order, by the member's id"
    )
    async def order_by_client_id(request: Request, client_order_id: str) -> Response:
        member = member_of(request, desk, "query")
        return await _one(
            desk,
            request,
            member,
            desk.venue.engine.registry.order_by_client_id(member, client_order_id),
            client_order_id,
        )

    @router.get("/v1/orders/{order_id}", summary="One order, by the exchange's id")
    async def order(request: Request, order_id: str) -> Response:
        member = member_of(request, desk, "query")
        found = desk.venue.engine.registry.order(order_id)
        if found is not None and found.member != member:
            found = None
        return await _one(desk, request, member, found, None)

    @router.get("/v1/executions", summary="The member's executions, as they stand")
    async def executions(request: Request) -> Response:
        member = member_of(request, desk, "query")

        async def carry_out() -> Response:
            after = whole_number(request, "after", 0, at_most=_AFTER_MAX)
            limit = max(1, whole_number(request, "limit", _PAGE, at_most=PAGE_MAX))
            found = desk.venue.journal.executions_page(member, after, limit)
            items = [record.execution for record in found]
            return answer(ExecutionPage(items, items[-1].seq if len(items) == limit else None))

        return await desk.strike(request, [Call("query", member)], carry_out)

    @router.get("/v1/status", summary="The market, and what each member does")
    async def status() -> Response:
        return answer(status_of(desk, rate))

    return router


async def _one(
    desk: Desk, request: Request, member: str, found: Order | None, client_order_id: str | None
) -> Response:
    # What is about to be committed was found too; it may be told only once it is durable.
    desk.venue.settle()
    if found is None:
        call = Call("query", member, None, client_order_id)
    else:
        call = Call("query", member, found.symbol, found.client_order_id, found.account)

    async def carry_out() -> Response:
        if found is None or desk.is_hidden(found.order_id):
            return problem(404, "unknown-order", "no order has this id")
        return answer(found.report())

    return await desk.strike(request, [call], carry_out)


class TradeRate:
    """Trades a second, over the time between two looks at least a second apart."""

    def __init__(self) -> None:
        self._at = monotonic()
        self._seq: int | None = None
        self._rate = 0.0

    def look(self, trade_seq: int) -> float:
        """Return the newest rate."""
        elapsed = monotonic() - self._at
        if self._seq is None or elapsed >= 1.0:
            if self._seq is not None:
                self._rate = round((trade_seq - self._seq) / elapsed, 1)
            self._at, self._seq = monotonic(), trade_seq
        return self._rate


def status_of(desk: Desk, rate: TradeRate) -> Status:
    """Return the state of the exchange. A speed of 0 means: as fast as taken."""
    venue = desk.venue
    engine = venue.engine
    return Status(
        state="open" if venue.is_open() else "closed",
        speed=0.0 if math.isinf(venue.speed) else venue.speed,
        market_position=engine.market.position,
        trade_seq=engine.floor.trade_seq,
        symbols=len(desk.listed),
        trades_per_second=rate.look(engine.floor.trade_seq),
        feed_connections=desk.connections.feed_count(),
        halted=engine.floor.halted(),
        members=desk.connections.counts(engine.registry.members),
    )
