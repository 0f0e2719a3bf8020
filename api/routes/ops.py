"""What operators do: read and set limits. Every change needs a reason and is kept with it."""

from typing import Annotated, Final

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from api.auth import CurrentOperator
from api.bodies import json_response
from api.documentation import TOKEN_PROBLEMS, problems
from api.node import Node
from brokerage.storage import operations

router = APIRouter(prefix="/ops", tags=["operators"])

OPERATOR_PROBLEMS: Final = (*TOKEN_PROBLEMS, "operator-only", "unavailable")
PAGE_MAX: Final = 200


class LimitBody(BaseModel):
    """A limit: everybody's, or `subject`'s own, which wins."""

    name: str = Field(examples=["order-shares"])
    subject: str | None = Field(description="A user or a symbol.", examples=["alice"])
    value: int = Field(examples=[100000])


class LimitsBody(BaseModel):
    """Limits by name and subject."""

    items: list[LimitBody]
    nextCursor: str | None


@router.get(
    "/limits",
    summary="List the limits",
    responses={200: {"model": LimitsBody}, **problems(*OPERATOR_PROBLEMS, "invalid-request")},
)
async def list_limits(
    operator: CurrentOperator,
    node: Node,
    subject: Annotated[
        str | None, Query(max_length=64, description="Only this user's or symbol's own.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = PAGE_MAX,
    cursor: Annotated[
        str, Query(max_length=200, description="`nextCursor` of the page before")
    ] = "",
) -> Response:
    """Everybody's value of a limit comes before those of single users or symbols."""
    name, _, last_subject = cursor.partition(" ")
    # One more than asked for tells whether there is a next page.
    found = await operations.limits_page(
        node.pool, limit=limit + 1, after=(name, last_subject), subject=subject
    )
    page = found[:limit]
    last = page[-1] if len(found) > limit else None
    return json_response(
        {
            "items": [limit_view(one) for one in page],
            "nextCursor": f"{last.name} {last.subject}" if last else None,
        }
    )


def limit_view(limit: operations.Limit) -> dict[str, object]:
    """A limit as operators see it."""
    return {"name": limit.name, "subject": limit.subject or None, "value": limit.value}
