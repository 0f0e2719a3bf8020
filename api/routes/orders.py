"""Place, read, list and cancel orders."""

import asyncio
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from api import cancelling, placing, simulating
from api.auth import CurrentUser
from api.bodies import json_response, read_json
from api.claiming import Placement
from api.cursor import decode_cursor, encode_cursor
from api.documentation import (
    KEY_PARAMETER,
    ORDER_PROBLEMS,
    RISK_PROBLEMS,
    TOKEN_PROBLEMS,
    OrderId,
    body,
    headers,
    problems,
)
from api.errors import invalid_query
from api.idempotency import parse_key
from api.node import Node, NodeState
from api.order_ids import parse_order_id
from api.order_watch import order_notices
from api.schemas import CancelAllBody, CancelBody, OrderBody, OrdersBody, PlaceOrder
from brokerage.contracts.ids import order_id_for
from brokerage.contracts.views import order_view
from brokerage.domain.orders import Order
from brokerage.domain.states import CLOSED, OPEN, OrderStatus
from brokerage.storage import reads

router = APIRouter(tags=["orders"])

PAGE_MAX: Final = 200
PAGE_DEFAULT: Final = 50
WATCH_SECONDS: Final = 30.0
LOOK_SECONDS: Final = 1.0
SYMBOL: Final = r"^[A-Z0-9.]{1,16}$"
STATUSES: Final = frozenset(status.value for status in OrderStatus)


@router.post(
    "/order",
    status_code=201,
    summary="Place an order",
    openapi_extra=body(PlaceOrder, KEY_PARAMETER),
    responses={
        201: {
            "model": OrderBody,
            "description": "The exchange has the order.",
            "headers": headers("Location", "Idempotent-Replayed"),
        },
        202: {
            "model": OrderBody,
            "description": "On record; the exchange has not answered yet.",
            "headers": headers("Location", "Retry-After"),
        },
        **problems(
            *ORDER_PROBLEMS,
            "idempotency-key-missing",
            "idempotency-key-malformed",
            "idempotency-key-reused",
            "rate-limited",
            "placing-in-progress",
            *RISK_PROBLEMS,
            "not-sent-in-time",
            "not-placed",
            "refused-by-exchange",
            "overloaded",
            "unknown-simulation",
            "simulation-unavailable",
        ),
    },
)
async def place_order(request: Request, user: CurrentUser, node: Node) -> Response:
    """A repeat with the same key and body is the same order and gets the same answer."""
    key = parse_key(request.headers.getlist("idempotency-key"))
    order = await read_json(request, PlaceOrder)
    placement = Placement(user.user_id, key, client_address(request), order)
    await simulating.plan(node, request.headers.getlist(simulating.HEADER), placement)
    return await placing.place_order(node, placement)


@router.get(
    "/order/{order_id}",
    summary="Read an order",
    responses={
        200: {"model": OrderBody},
        **problems(
            *TOKEN_PROBLEMS, "order-not-found", "invalid-request", "overloaded", "unavailable"
        ),
    },
)
async def read_order(
    order_id: OrderId,
    user: CurrentUser,
    node: Node,
    after_version: Annotated[
        int | None,
        Query(
            alias="afterVersion",
            ge=0,
            le=2**31 - 1,
            description="Wait up to 30 s for a version newer than this.",
        ),
    ] = None,
) -> Response:
    """Another user's order looks exactly like none."""
    known_id = parse_order_id(order_id)
    order = await reads.order_of_user(node.pool, user.user_id, known_id)
    if order is not None and after_version is not None and order.version <= after_version:
        with node.waits.one_more(user.user_id):
            order = await _newer(node, order, after_version)
    if order is None:
        raise cancelling.order_not_found()
    return json_response(order_view(order))


@router.delete(
    "/order/{order_id}",
    summary="Cancel an order",
    responses={
        200: {"model": CancelBody, "description": "The order is cancelled."},
        202: {
            "model": CancelBody,
            "description": "The exchange has not answered yet.",
            "headers": headers("Retry-After"),
        },
        **problems(
            *TOKEN_PROBLEMS,
            "order-not-found",
            "too-late-to-cancel",
            "cancel-refused",
            "unavailable",
        ),
    },
)
async def cancel_order(
    order_id: OrderId, request: Request, user: CurrentUser, node: Node
) -> Response:
    """Needs no key and may be repeated."""
    return await cancelling.cancel_order(
        node, user.user_id, parse_order_id(order_id), client_address(request)
    )


@router.delete(
    "/orders",
    summary="Cancel all your open orders, or those of one symbol",
    responses={
        200: {"model": CancelAllBody, "description": "Each of them is cancelled."},
        207: {
            "model": CancelAllBody,
            "description": "Not all are; `items` says what became of each.",
            "headers": headers("Retry-After"),
        },
        **problems(*TOKEN_PROBLEMS, "invalid-request", "unavailable"),
    },
)
async def cancel_orders(
    request: Request,
    user: CurrentUser,
    node: Node,
    symbol: Annotated[str | None, Query(pattern=SYMBOL)] = None,
) -> Response:
    """At most 100 a request: `more` says that others are left. Needs no key and may be repeated;
    orders placed meanwhile may be left out.
    """
    named = [name for name, _ in request.query_params.multi_items()]
    if named not in ([], ["symbol"]):
        # A misspelt `symbol` must not cancel everything.
        raise invalid_query(named[-1], "one `symbol` may be named, and nothing else")
    return await cancelling.cancel_orders(node, user.user_id, symbol, client_address(request))


@router.get(
    "/orders",
    summary="List your orders, newest first",
    responses={
        200: {"model": OrdersBody},
        **problems(*TOKEN_PROBLEMS, "invalid-request", "unavailable"),
    },
)
async def list_orders(
    user: CurrentUser,
    node: Node,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = PAGE_DEFAULT,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    status: Annotated[
        str | None,
        Query(max_length=200, description="`open`, `closed`, or statuses, separated by commas."),
    ] = None,
    symbol: Annotated[str | None, Query(pattern=SYMBOL)] = None,
    idempotency_key: Annotated[
        UUID | None,
        Query(
            alias="idempotencyKey",
            description="Find what a lost answer placed, without placing.",
        ),
    ] = None,
) -> Response:
    """`nextCursor` is the `cursor` of the next page, null on the last one."""
    before = decode_cursor(cursor) if cursor is not None else None
    statuses = parse_statuses(status) if status is not None else None
    page = await reads.orders_page(
        node.pool,
        user.user_id,
        # One more than asked for tells whether there is a next page.
        limit=limit + 1,
        before=before,
        statuses=statuses,
        symbol=symbol,
        # The key names the order, also where the row came back without it after a loss.
        order_id=order_id_for(user.user_id, str(idempotency_key)) if idempotency_key else None,
    )
    orders = page.orders[:limit]
    last = orders[-1] if len(page.orders) > limit else None
    return json_response(
        {
            "items": [order_view(order) for order in orders],
            "nextCursor": encode_cursor(last.created_at, last.order_id) if last else None,
            "asOfSeq": page.as_of_seq,
        }
    )


def client_address(request: Request) -> str:
    """Where the request came from, for the order's audit trail."""
    return request.client.host if request.client else ""


def parse_statuses(text: str) -> list[str]:
    """The statuses that `open,filled` names; raises `ProblemError`."""
    named: set[OrderStatus] = set()
    for name in text.split(","):
        if name == "open":
            named |= OPEN
        elif name == "closed":
            named |= CLOSED
        elif name in STATUSES:
            named.add(OrderStatus(name))
        else:
            raise invalid_query("status", "a status is `open`, `closed` or the name of one")
    return sorted(status.value for status in named)


async def _newer(node: NodeState, order: Order, after_version: int) -> Order | None:
    """The order once it is newer, or as it stands after `WATCH_SECONDS` or when the node stops."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + WATCH_SECONDS
    async with order_notices(node, order.user_id) as notices:
        while True:
            newest = await reads.order_of_user(node.pool, order.user_id, order.order_id)
            remaining_seconds = deadline - clock()
            if (
                newest is None
                or newest.version > after_version
                or remaining_seconds <= 0
                or node.stopping.is_set()
            ):
                return newest
            await notices.wait(min(LOOK_SECONDS, remaining_seconds))
