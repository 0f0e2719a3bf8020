"""What was said and done for an order: as its owner may see it, and all of it for operators."""

import json
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from api.auth import CurrentOperator, CurrentUser
from api.bodies import json_response
from api.cancelling import order_not_found
from api.documentation import TOKEN_PROBLEMS, OrderId, problems
from api.node import Node
from api.order_ids import parse_order_id
from api.routes.ops import ActBody, act_view
from api.schemas import ORDER_ID_EXAMPLE, TIME_EXAMPLE, OrderEventBody
from brokerage.contracts.ids import workflow_id_for
from brokerage.contracts.views import event_view, format_time
from brokerage.domain.trail import OrderTrail, Row, Tampered, source_of, tampered_rows
from brokerage.storage import operations, trail_reads
from brokerage.storage.pool import long_read
from brokerage.storage.trail_reads import FIRST, OwnEvent

router = APIRouter()

PAGE_MAX: Final = 200
PAGE_DEFAULT: Final = 50
VERIFIED_MAX: Final = 500
ACTS_SHOWN: Final = 50
CURSOR: Final = r"^[A-Za-z0-9_-]{1,64} [0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
OPERATOR_PROBLEMS: Final = (*TOKEN_PROBLEMS, "operator-only", "invalid-request", "unavailable")


class OwnEventBody(OrderEventBody):
    """One change of an order: when, and by whom; `address` is where it was asked from, by you."""

    at: str = Field(examples=[TIME_EXAMPLE])
    by: Literal["you", "exchange", "sherwood"]
    address: str | None = Field(examples=[None])


class OwnEventsBody(BaseModel):
    """Changes of one order, ascending."""

    items: list[OwnEventBody]
    nextCursor: str | None = Field(examples=[None])


class TamperedBody(BaseModel):
    """A row that is not as it was written."""

    table: str = Field(examples=["ledger_entries"])
    row: str = Field(examples=["E7f3a-104 leg 2"])
    problem: Literal["changed", "missing", "inserted"]


class LinkBody(BaseModel):
    """One link of an order's trail: an event, or a note of what changed nothing.

    `detail` has the run of the workflow, the claim, and each request to the exchange with its
    answer; `report` and `entries` are what was written with the link.
    """

    link: int | None = Field(examples=[2])
    hash: str | None = Field(examples=["9f8c2d41" * 8])
    type: Literal["event", "note"]
    kind: str = Field(examples=["submitted"])
    at: str = Field(examples=[TIME_EXAMPLE])
    actor: str = Field(examples=["exchange"])
    address: str | None = Field(examples=["192.0.2.7"])
    version: int = Field(examples=[2])
    status: str | None = Field(
        description="The order's, right after; null for a note.", examples=["submitted"]
    )
    filledShares: int | None = Field(examples=[0])
    seq: int | None = Field(examples=[11])
    detail: dict[str, Any] = Field(examples=[{"runId": "019ac0c2-3b1c-7d2f-9d53-0b54a7c9d6f1"}])
    report: dict[str, Any] | None = Field(examples=[None])
    entries: list[dict[str, Any]] = Field(examples=[[]])


class TimelineBody(BaseModel):
    """All that is kept of an order, and whether it is as it was written."""

    orderId: str = Field(examples=[ORDER_ID_EXAMPLE])
    userId: str = Field(examples=["alice"])
    externalOrderId: str | None = Field(examples=["X7f3a-12"])
    workflowId: str = Field(examples=[f"order-{ORDER_ID_EXAMPLE}"])
    status: str = Field(examples=["filled"])
    version: int = Field(examples=[4])
    links: int = Field(examples=[4])
    items: list[LinkBody]
    nextCursor: str | None = Field(examples=[None])
    acts: list[ActBody] = Field(description="The newest acts of operators on this order.")
    tampered: list[TamperedBody]


class VerifiedBody(BaseModel):
    """What a verification of some orders, and with the last of all acts, found."""

    orders: int = Field(examples=[200])
    tampered: list[TamperedBody]
    nextCursor: str | None = Field(examples=[f"alice {ORDER_ID_EXAMPLE}"])


@router.get(
    "/order/{order_id}/events",
    tags=["orders"],
    summary="What happened to an order, when, and by whom",
    responses={
        200: {"model": OwnEventsBody},
        **problems(*TOKEN_PROBLEMS, "order-not-found", "invalid-request", "unavailable"),
    },
)
async def list_events_of_order(
    order_id: OrderId,
    user: CurrentUser,
    node: Node,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = PAGE_DEFAULT,
    cursor: Annotated[int, Query(ge=0, lt=2**31, description="The last `version` seen.")] = 0,
) -> Response:
    """Ascending by version. Another user's order looks like none."""
    found = await trail_reads.own_events(
        node.pool, user.user_id, parse_order_id(order_id), cursor, limit + 1
    )
    if found is None:
        raise order_not_found()
    page = found[:limit]
    more = str(page[-1].version) if len(found) > limit else None
    items = [_own_view(event, user.user_id) for event in page]
    return json_response({"items": items, "nextCursor": more})


@router.get(
    "/ops/orders/{order_id}/timeline",
    tags=["operators"],
    summary="All that was said and done for an order, verified",
    responses={200: {"model": TimelineBody}, **problems(*OPERATOR_PROBLEMS, "order-not-found")},
)
async def read_order_timeline(
    order_id: OrderId,
    operator: CurrentOperator,
    node: Node,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = PAGE_MAX,
    cursor: Annotated[int, Query(ge=0, lt=2**31, description="The last link seen.")] = 0,
) -> Response:
    """Of any user's order. The whole trail is verified with every page."""
    trail = await trail_reads.order_trail(node.pool, parse_order_id(order_id))
    if trail is None:
        raise order_not_found()
    order = trail.order
    links = sorted([*trail.events, *trail.notes], key=lambda row: row["link"] or row["version"])
    after = [row for row in links if (row["link"] or row["version"]) > cursor]
    page = after[:limit]
    named = [str(order["order_id"]), order["external_order_id"]]
    acts = await operations.acts_page(
        node.pool, limit=ACTS_SHOWN, subjects=[one for one in named if one is not None]
    )
    return json_response(
        {
            "orderId": str(order["order_id"]),
            "userId": order["user_id"],
            "externalOrderId": order["external_order_id"],
            "workflowId": workflow_id_for(str(order["order_id"])),
            "status": order["status"],
            "version": order["version"],
            "links": order["links"],
            "items": _link_views(trail, page),
            "nextCursor": str(page[-1]["link"]) if len(after) > limit else None,
            "acts": [act_view(act) for act in acts],
            "tampered": [_tampered_view(one) for one in tampered_rows(trail)],
        }
    )


@router.get(
    "/ops/trails/verification",
    tags=["operators"],
    summary="Verify the trails of all orders, some at a time",
    responses={200: {"model": VerifiedBody}, **problems(*OPERATOR_PROBLEMS)},
)
async def verify_trails(
    operator: CurrentOperator,
    node: Node,
    limit: Annotated[int, Query(ge=1, le=VERIFIED_MAX)] = PAGE_MAX,
    cursor: Annotated[str | None, Query(pattern=CURSOR)] = None,
) -> Response:
    """The last page verifies the acts of operators, too."""
    user_id, order_id = cursor.split() if cursor else FIRST
    verified = await trail_reads.verify_orders(node.pool, (user_id, order_id), limit=limit)
    tampered = list(verified.tampered)
    if verified.last is None:
        async with long_read(node.pool, trail_reads.READ_SECONDS, one_moment=True) as database:
            tampered += await trail_reads.verify_acts(database)
    return json_response(
        {
            "orders": verified.orders,
            "tampered": [_tampered_view(one) for one in tampered],
            "nextCursor": " ".join(verified.last) if verified.last else None,
        }
    )


def _own_view(event: OwnEvent, user_id: str) -> dict[str, object]:
    is_own = event.actor == user_id
    by = "you" if is_own else "exchange" if event.actor == "exchange" else "sherwood"
    return {
        **event_view(event.seq, event.kind, event.order, event.detail),
        "at": format_time(event.at),
        "by": by,
        "address": event.address if is_own and event.address else None,
    }


def _link_views(trail: OrderTrail, links: list[Row]) -> list[dict[str, object]]:
    reports = {row["report_id"]: row for row in trail.reports}
    views = []
    for row in links:
        report = reports.get(row["report_id"])
        shown = json.loads(row["order"]) if "order" in row else {}
        views.append(
            {
                "link": row["link"],
                "hash": row["hash"].hex() if row["hash"] else None,
                "type": "event" if "order" in row else "note",
                "kind": row["kind"],
                "at": format_time(row["at"]),
                "actor": row["actor"],
                "address": row.get("address") or None,
                "version": row["version"],
                "status": shown.get("status"),
                "filledShares": shown.get("filledShares"),
                "seq": row.get("seq"),
                "detail": json.loads(row["detail"]),
                "report": _report_view(report) if report else None,
                "entries": [
                    _entry_view(entry)
                    for entry in sorted(trail.entries, key=lambda entry: entry["leg"])
                    if entry["source"] == source_of(row)
                ],
            }
        )
    return views


def _report_view(report: Row) -> dict[str, object]:
    return {
        "id": report["report_id"],
        "kind": report["kind"],
        "feedSeq": report["feed_seq"],
        "shares": report["shares"],
        "priceInCents": report["price_cents"],
        "bookedShares": report["booked_shares"],
        "bookedNotionalInCents": report["booked_cents"],
        "amends": report["amends"],
        "reportedAt": format_time(report["reported_at"]),
        "settledAt": format_time(report["settled_at"]),
    }


def _entry_view(entry: Row) -> dict[str, object]:
    return {
        "leg": entry["leg"],
        "account": entry["account"],
        "asset": entry["asset"],
        "amount": entry["amount"],
        "cause": entry["cause"],
    }


def _tampered_view(one: Tampered) -> dict[str, str]:
    return {"table": one.table, "row": one.row, "problem": one.problem}
