"""What was said and done for orders: an owner's own events, and all of it for operators."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from client._answers import read
from client._transport import Transport
from client.acts import Act
from client.models import Answer
from client.order_events import OrderEvent


class OwnEvent(OrderEvent, frozen=True, kw_only=True):
    """One change of an order: when and by whom; `address` is where you asked for it from."""

    at: datetime
    by: Literal["you", "exchange", "sherwood"]
    address: str | None = None


class OwnEventPage(Answer, frozen=True, kw_only=True):
    """Changes of one order, ascending; `next_cursor` asks for the page after this one."""

    items: tuple[OwnEvent, ...]
    next_cursor: str | None = None


class Entry(Answer, frozen=True, kw_only=True):
    """A ledger entry: cents of `USD`, else shares of a symbol."""

    leg: int
    account: str
    asset: str
    amount: int
    cause: str | None = None


class Report(Answer, frozen=True, kw_only=True):
    """What the exchange reported and what was booked of it; `feed_seq` is its place in the feed."""

    id: str
    kind: str
    feed_seq: int
    shares: int
    price_cents: int
    booked_shares: int
    booked_notional_cents: int
    reported_at: datetime
    settled_at: datetime
    amends: str | None = None


class Link(Answer, frozen=True, kw_only=True):
    """One link of an order's trail: an event, or a note of what changed nothing."""

    type: Literal["event", "note"]
    kind: str
    at: datetime
    actor: str
    version: int
    detail: dict[str, Any]
    entries: tuple[Entry, ...] = ()
    link: int | None = None
    hash: str | None = None
    address: str | None = None
    status: str | None = None
    filled_shares: int | None = None
    seq: int | None = None
    report: Report | None = None


class Tampered(Answer, frozen=True, kw_only=True):
    """A row that is not as it was written."""

    table: str
    row: str
    problem: Literal["changed", "missing", "inserted"]


class Timeline(Answer, frozen=True, kw_only=True):
    """All that is kept of an order, and every row of it that is not as it was written."""

    order_id: UUID
    user_id: str
    workflow_id: str
    status: str
    version: int
    links: int
    items: tuple[Link, ...]
    acts: tuple[Act, ...] = ()
    tampered: tuple[Tampered, ...] = ()
    external_order_id: str | None = None
    next_cursor: str | None = None


class Verified(Answer, frozen=True, kw_only=True):
    """What a verification of some orders found; the last page has the acts of operators too."""

    orders: int
    tampered: tuple[Tampered, ...]
    next_cursor: str | None = None


class TrailOperations:
    """The trails of orders, for operators, as `sherwood.ops.trails`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def timeline(
        self, order_id: UUID | str, *, limit: int | None = None, cursor: str | None = None
    ) -> Timeline:
        """Return a page of an order's timeline, whoever's it is. Raises NotFound."""
        params = {"limit": limit, "cursor": cursor}
        answer = await self._transport.request(
            "GET",
            f"/ops/orders/{order_id}/timeline",
            params={name: value for name, value in params.items() if value is not None},
        )
        return read(answer, Timeline)

    async def verify(self, *, cursor: str | None = None) -> Verified:
        """Verify the next orders; go on with `next_cursor` until there is none."""
        answer = await self._transport.request(
            "GET", "/ops/trails/verification", params={"cursor": cursor} if cursor else {}
        )
        return read(answer, Verified)
