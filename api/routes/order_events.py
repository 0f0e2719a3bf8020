"""The log of a user's order events: as a stream, and as pages."""

from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Header, Query, Response

from api.auth import CurrentUser
from api.bodies import json_response
from api.documentation import TOKEN_PROBLEMS, problems
from api.errors import no_account, seq_ahead
from api.node import Node
from api.order_stream import Streaming, StreamUser
from api.schemas import SEQ_MAX, OrderEventsBody
from brokerage.contracts.views import event_view
from brokerage.storage.event_reads import events_after

router = APIRouter(tags=["orders"])

PAGE_MAX: Final = 200
PAGE_DEFAULT: Final = 50
EVENTS: Final[dict[str, Any]] = {
    "description": "Events `hello`, `order` (one of `GET /orders/events`), `heartbeat`, `reset`",
    "content": {"text/event-stream": {"schema": {"type": "string"}}},
}


@router.get(
    "/orders/stream",
    response_class=Response,
    summary="Stream what happens to your orders",
    responses={
        200: EVENTS,
        **problems(
            *TOKEN_PROBLEMS,
            "ticket-invalid",
            "no-account",
            "invalid-request",
            "too-many-streams",
            "node-full",
            "too-many-openings",
            "shutting-down",
            "unavailable",
        ),
    },
)
async def stream_orders(
    user: StreamUser,
    streaming: Streaming,
    after: Annotated[
        int | None,
        Query(ge=0, le=SEQ_MAX, description="Begin after this event; 0: everything."),
    ] = None,
    last_event_id: Annotated[
        int | None,
        Header(alias="Last-Event-ID", ge=0, le=SEQ_MAX, description="The same; wins over `after`."),
    ] = None,
) -> Response:
    """Every event once, in order, none left out; without a place to begin only what is new.

    A client that comes back repeats its address, so what it heard last, the header, is what counts.
    """
    return await streaming.response(
        user.user_id, last_event_id if last_event_id is not None else after
    )


@router.get(
    "/orders/events",
    summary="Read what happened to your orders",
    responses={
        200: {"model": OrderEventsBody},
        **problems(
            *TOKEN_PROBLEMS, "no-account", "invalid-request", "seq-ahead-of-log", "unavailable"
        ),
    },
)
async def list_order_events(
    user: CurrentUser,
    node: Node,
    after: Annotated[int, Query(ge=0, le=SEQ_MAX, description="`seq` of the last event seen.")] = 0,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = PAGE_DEFAULT,
    order_id: Annotated[
        UUID | None, Query(alias="orderId", description="The events of this order only.")
    ] = None,
) -> Response:
    """The same log as the stream's, ascending. Where the last `seq` is `lastSeq` there is no more;
    of one order where there are fewer than `limit`.
    """
    page = await events_after(
        node.pool, user.user_id, after, limit, None if order_id is None else str(order_id)
    )
    if page is None:
        raise no_account()
    if after > page.last_seq:
        raise seq_ahead(page.last_seq)
    return json_response(
        {
            "items": [
                event_view(event.seq, event.kind, event.order, event.detail)
                for event in page.events
            ],
            "lastSeq": page.last_seq,
        }
    )
