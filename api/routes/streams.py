"""What belongs to a stream beside its events: the ticket that opens it."""

from fastapi import APIRouter, Request, Response

from api.auth import CurrentUser
from api.bodies import json_response
from api.documentation import TOKEN_PROBLEMS, problems
from api.errors import ProblemError
from api.schemas import TicketBody
from brokerage.bus.connection import Bus
from brokerage.bus.streams import TICKET_SECONDS
from brokerage.bus.tickets import TICKETS_PER_USER_MAX, Tickets, TooManyTickets

router = APIRouter(tags=["prices"])


@router.post(
    "/stream-ticket",
    summary="A ticket that opens one stream",
    responses={
        200: {"model": TicketBody},
        **problems(*TOKEN_PROBLEMS, "too-many-tickets", "unavailable"),
    },
)
async def issue_ticket(request: Request, user: CurrentUser) -> Response:
    """For browsers' EventSource, which cannot send the token: `GET /subscribe?symbols=&ticket=`.

    Whoever shows it first has used it, through any node and whatever the answer. It carries no
    scope.
    """
    bus: Bus = request.app.state.bus
    try:
        ticket = await Tickets(bus).issue(user.user_id)
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
