"""An order as clients see it, and the first definitive reply it earns."""

import json
from datetime import UTC, datetime

from brokerage.contracts.commands import Reply
from brokerage.contracts.problems import PROBLEMS, encode, problem
from brokerage.domain.errors import Rejected
from brokerage.domain.orders import Order, OrderStatus

UNANSWERED = frozenset({OrderStatus.PENDING, OrderStatus.PENDING_CANCEL})
"""Statuses in which nobody knows yet what the placement's answer will be."""


def format_time(at: datetime) -> str:
    """RFC 3339 in UTC with microseconds, `Z` for the zone."""
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def order_view(order: Order) -> dict[str, object]:
    """The order's public fields; `priceInCents` is the customer's limit, null for market orders."""
    return {
        "id": order.order_id,
        "externalOrderId": order.external_order_id,
        "position": order.side.value,
        "symbol": order.symbol,
        "type": order.order_type.value,
        "timeInForce": order.time_in_force.value,
        "priceInCents": order.limit_price_cents,
        "numShares": order.shares,
        "status": order.status.value,
        "outcome": order.outcome.value,
        "filledShares": order.filled_shares,
        "filledNotionalInCents": order.filled_notional_cents,
        "reason": order.reason,
        "version": order.version,
        "createdAt": format_time(order.created_at),
        "updatedAt": format_time(order.updated_at),
    }


def event_view(seq: int, kind: str, order: str, detail: str) -> dict[str, object]:
    """An order event's public fields; `order` and `detail` are JSON, as they are stored.

    `execution` is what the exchange reported, where it is that which changed the order.
    """
    details = json.loads(detail)
    execution = None
    if "executionId" in details:
        execution = {
            "id": details["executionId"],
            "shares": details["shares"],
            "priceInCents": details["priceInCents"],
            "bookedShares": details["bookedShares"],
        }
    return {"seq": seq, "kind": kind, "order": json.loads(order), "execution": execution}


def first_reply(order: Order, refusal: Rejected | None = None) -> Reply | None:
    """The answer to the placement, or None while its outcome is open."""
    if order.status in UNANSWERED:
        return None
    view = order_view(order)
    if order.status not in (OrderStatus.REJECTED, OrderStatus.FAILED):
        return Reply(201, encode(view))
    reason = order.reason or "refused-by-exchange"
    # The exchange's words may sound like ours; only a refusal of an order is kept as its reply.
    known = reason in PROBLEMS and PROBLEMS[reason].status == 422
    code = reason if known else "refused-by-exchange"
    told = refusal or Rejected(code, f"the exchange refused the order: {reason}")
    return Reply(PROBLEMS[code].status, encode(refusal_problem(told, code, order=view)))


def refusal_problem(refusal: Rejected, code: str, **members: object) -> dict[str, object]:
    """A refusal as a problem with this code, `members` beside what the refusal tells itself."""
    return problem(
        code,
        refusal.detail,
        **members,
        required=refusal.required,
        available=refusal.available,
        **refusal.extra,
    )
