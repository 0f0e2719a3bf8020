"""Whose order the exchange means by its id."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from brokerage.contracts.gateway import GatewayReply, QueryRequest
from brokerage.contracts.ids import is_order_id
from brokerage.storage.reads import Route

KNOWN_MAX: Final = 10_000
ASKING_MAX: Final = 8
"""Questions to the exchange at once: its connection also carries the cancels."""

FindRoute = Callable[[str], Awaitable[Route | None]]


@dataclass(frozen=True, slots=True)
class Unresolved:
    """No order of ours is known for it. `foreign`: by what the exchange itself says of it."""

    reason: str
    foreign: bool


class Routes:
    """Finds the order by the exchange's id: in memory, in Postgres, last by asking the exchange.

    `of_external` and `of_order` read Postgres, by the exchange's id and by ours; what they raise
    passes through.
    """

    def __init__(
        self,
        of_external: FindRoute,
        of_order: FindRoute,
        query: Callable[[QueryRequest], Awaitable[GatewayReply]],
    ) -> None:
        self._of_external = of_external
        self._of_order = of_order
        self._query = query
        self._known: OrderedDict[str, Route] = OrderedDict()
        self._asking = asyncio.Semaphore(ASKING_MAX)

    async def find(self, external_order_id: str) -> Route | None:
        """The order, once the mapping is committed (or was learned from the exchange)."""
        route = self._known.get(external_order_id)
        if route is None:
            route = await self._of_external(external_order_id)
            if route is not None:
                self._remember(external_order_id, route)
        return route

    async def ask(self, external_order_id: str) -> Route | Unresolved:
        """Ask the exchange which order of ours it is.

        An order may be reported on before its workflow knows the exchange's id: booking that is
        legal, so the row is all that is needed.
        """
        async with self._asking:
            reply = await self._query(QueryRequest(external_order_id=external_order_id))
        if reply.outcome == "absent":
            return Unresolved("unknown-at-exchange", foreign=True)
        if reply.outcome != "found" or reply.order is None:
            return Unresolved(reply.code or "exchange-unknown", foreign=False)
        order_id = reply.order.client_order_id
        route = await self._of_order(order_id) if is_order_id(order_id) else None
        if route is None:
            return Unresolved("no-order-of-ours", foreign=True)
        self._remember(external_order_id, route)
        return route

    def _remember(self, external_order_id: str, route: Route) -> None:
        self._known[external_order_id] = route
        if len(self._known) > KNOWN_MAX:
            self._known.popitem(last=False)
