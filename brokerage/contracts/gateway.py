"""Requests to the gateway and its answers, as they travel over the bus."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class PlaceRequest:
    """The stored terms of one order; every attempt sends the same."""

    client_order_id: str
    account_ref: str
    symbol: str
    side: Literal["buy", "sell"]
    price_cents: int
    shares: int
    time_in_force: Literal["day", "gtc", "ioc"]
    send_by_ms: int


@dataclass(frozen=True, slots=True)
class CancelRequest:
    """Cancel by the exchange's id where it is known, by our own otherwise."""

    client_order_id: str
    external_order_id: str | None


@dataclass(frozen=True, slots=True)
class QueryRequest:
    """Ask what the exchange knows: by our id, or by its own."""

    client_order_id: str | None = None
    external_order_id: str | None = None


@dataclass(frozen=True, slots=True)
class ExternalOrder:
    """An order as the exchange has it; `cumulative_shares` is what was ever executed of it.

    `status` is one of open, filled, cancelled, expired, rejected.
    """

    external_order_id: str
    client_order_id: str
    status: str
    cumulative_shares: int
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class GatewayReply:
    """One answer. What `outcome` says, by request:

    place: `accepted` (with the order), `refused` (the exchange's final no, with `code`),
    `declined` (the gateway did not send it, with `code`), `unknown`.
    cancel: `cancelled`, `too-late` (with the order), `absent` (the exchange knows no such order and
    will refuse it from now on), `refused` (still live), `unknown`.
    query: `found` (with the order), `absent`, `unknown`.
    """

    outcome: Literal[
        "accepted",
        "refused",
        "declined",
        "cancelled",
        "too-late",
        "absent",
        "found",
        "unknown",
    ]
    order: ExternalOrder | None = None
    code: str | None = None
    reason: str | None = None
