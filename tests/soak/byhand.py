"""What the exchange does of its own accord to orders that it has: which, and how to ask for it."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, TypeVar

from tests.checker.venue import Venue

ACTIONS: Final = ("late-fill", "bust", "end", "correction", "overfill")
ENDED_EARLY: Final = frozenset({"cancelled", "expired"})

Item = TypeVar("Item")


class Request(NamedTuple):
    """A request to the exchange's control panel: what, and its body."""

    what: str
    body: dict[str, Any]


def request_for(action: str, venue: Venue, part: float) -> Request | None:
    """How to have this done to one of the orders or executions that it can be done to: the one that
    stands at `part` (of 1) of them, newest last. None where there is none.
    """
    orders = venue.record.orders
    match action:
        case "late-fill" | "overfill":
            statuses = ENDED_EARLY if action == "late-fill" else {"filled"}
            order = _at(part, [one for one in orders if one.status in statuses])
            if order is None:
                return None
            body = {"orderId": order.order_id, "priceCents": order.price_cents, "shares": 1}
            return Request("executions", body)
        case "end":
            order = _at(part, [one for one in orders if one.status == "open"])
            if order is None:
                return None
            return Request("ends", {"orderId": order.order_id, "status": "cancelled"})
    execution = _at(part, [one for one in venue.record.executions if one.shares > 1])
    if execution is None:
        return None
    body = {"executionId": execution.execution_id}
    if action == "bust":
        return Request("busts", body)
    fewer = {"priceCents": execution.price_cents, "shares": execution.shares - 1}
    return Request("corrections", body | fewer)


def _at(part: float, items: Sequence[Item]) -> Item | None:
    return items[min(int(part * len(items)), len(items) - 1)] if items else None
