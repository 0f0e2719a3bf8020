"""What members can compare their books with: everything at one sequence of their messages."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from exchange.desk import Desk, Refused, answer, member_of, whole_number
from exchange.faults import Call
from exchange.protocol import STATEMENT_PAGE_MAX
from exchange.statements import position_statement, statement_page

_SEQUENCE_MAX = 2**53


def statement_routes(desk: Desk) -> APIRouter:
    """Return the routes of statements; they change nothing."""
    router = APIRouter(tags=["statements"])

    @router.get("/v1/statement", summary="The member's orders at one sequence of its messages")
    async def statement(request: Request) -> Response:
        member = member_of(request, desk, "statement")

        async def carry_out() -> Response:
            sequence = _sequence(desk, request, member)
            after = request.query_params.get("after", "")
            wanted = whole_number(request, "limit", STATEMENT_PAGE_MAX, at_most=STATEMENT_PAGE_MAX)
            limit = max(1, wanted)
            journal = desk.venue.journal
            ids = _ids(request)
            if ids:
                named = (journal.order_by_client_id(member, one) for one in ids if one > after)
                found = [order for order in named if order is not None]
            else:
                found = journal.orders_by_client_id(member, after, limit)
            more = not ids and len(found) == limit
            next_after = found[-1].client_order_id if more else None
            seen = [order for order in found if not desk.is_hidden(order.order_id)]
            return answer(statement_page(journal, seen, sequence, next_after))

        return await desk.strike(request, [Call("query", member)], carry_out)

    @router.get("/v1/statement/positions", summary="What the member's executions come to")
    async def positions(request: Request) -> Response:
        member = member_of(request, desk, "statement")

        async def carry_out() -> Response:
            sequence = _sequence(desk, request, member)
            symbols = [one.symbol for one in desk.listed]
            return answer(position_statement(desk.venue.journal, member, symbols, sequence))

        return await desk.strike(request, [Call("query", member)], carry_out)

    return router


def _sequence(desk: Desk, request: Request, member: str) -> int:
    """The sequence asked for, by default the newest; all up to it is durable on return."""
    desk.venue.settle()
    newest = desk.venue.member_seq(member)
    sequence = whole_number(request, "sequence", newest, at_most=_SEQUENCE_MAX)
    if sequence > newest:
        raise Refused(422, "sequence-ahead", f"the newest message is {newest}")
    return sequence


def _ids(request: Request) -> list[str]:
    """The orders asked for by name, sorted."""
    ids = sorted(set(request.query_params.getlist("ids")))
    if len(ids) > STATEMENT_PAGE_MAX:
        raise Refused(422, "invalid-query", f"at most {STATEMENT_PAGE_MAX} ids")
    return ids
