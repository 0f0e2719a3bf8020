"""What belongs to a stream beside its events: the ticket that opens it, and what it shows."""

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from api.auth import CurrentUser
from api.bodies import json_response, read_json
from api.documentation import BODY_PROBLEMS, TOKEN_PROBLEMS, body, problems
from api.errors import ProblemError
from api.node import Node
from api.prices_stream import Subscription
from api.schemas import STREAM_ID_EXAMPLE, StreamBody, TicketBody
from api.symbols import check_known
from brokerage.bus.streams import TICKET_SECONDS
from brokerage.bus.tickets import TICKETS_PER_USER_MAX, Tickets, TooManyTickets

StreamId = Annotated[
    str, Path(description="That of the stream's `hello`.", examples=[STREAM_ID_EXAMPLE])
]

router = APIRouter(tags=["prices"])


@router.post(
    "/stream-ticket",
    summary="A ticket that opens one stream",
    responses={
        200: {"model": TicketBody},
        **problems(*TOKEN_PROBLEMS, "too-many-tickets", "unavailable"),
    },
)
async def issue_stream_ticket(user: CurrentUser, node: Node) -> Response:
    """For browsers' EventSource, which cannot send the token: `GET /subscribe?symbols=&ticket=`.

    Whoever shows it first has used it, through any node and whatever the answer. It carries no
    scope.
    """
    try:
        ticket = await Tickets(node.bus).issue(user.user_id)
    except TooManyTickets as error:
        raise ProblemError(
            "too-many-tickets",
            f"{TICKETS_PER_USER_MAX} tickets are unused",
            retry_after_seconds=TICKET_SECONDS,
        ) from error
    return json_response(
        {"ticket": ticket, "expiresInSeconds": TICKET_SECONDS},
        headers={"Cache-Control": "no-store"},
    )


@router.patch(
    "/subscribe/{stream_id}",
    summary="Change what a live stream shows",
    openapi_extra=body(Subscription),
    responses={
        200: {"model": StreamBody},
        **problems(
            *TOKEN_PROBLEMS,
            *BODY_PROBLEMS,
            "unknown-symbol",
            "stream-not-found",
            "unavailable",
        ),
    },
)
async def change_stream(
    request: Request, user: CurrentUser, node: Node, stream_id: StreamId
) -> Response:
    """The new whole list, through any node.

    The stream then has an event `prices` with the symbols that are new to it. It may be repeated;
    of changes at once the one that came to the stream's node last is what it shows.
    """
    wanted = list(dict.fromkeys((await read_json(request, Subscription)).symbols))
    check_known(node.directory, wanted)
    if not await node.stream_control.change(stream_id, user.user_id, wanted):
        raise ProblemError("stream-not-found", "you have no such stream")
    return json_response({"streamId": stream_id, "symbols": wanted})
