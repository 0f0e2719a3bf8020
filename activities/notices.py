"""Hints to those who wait: sent after the commit, never relied upon."""

from typing import TYPE_CHECKING

import msgspec

from brokerage.contracts.placements import place_request
from brokerage.contracts.subjects import entered_subject, orders_subject, route_subject
from brokerage.domain.orders import Order

if TYPE_CHECKING:
    from brokerage.bus.connection import Bus


class Notices:
    """Says on the bus what just changed. A lost notice costs its reader a little time."""

    def __init__(self, bus: "Bus") -> None:
        self._bus = bus

    async def order_changed(self, user_id: str, seq: int) -> None:
        """An order of the user changed; `seq` is the event's."""
        await self._bus.notify(orders_subject(user_id), str(seq).encode())

    async def order_entered(self, order: Order) -> None:
        """The order's row is there, as this says it: the gateway lets no other leave."""
        entry = msgspec.json.encode(place_request(order))
        await self._bus.notify(entered_subject(order.order_id), entry)

    async def route_known(self, external_order_id: str) -> None:
        """Reports for this order of the exchange can be delivered now."""
        await self._bus.notify(route_subject(external_order_id), b"")
