"""The check of what leaves against what was entered, apart from all that decides to send.

However an order comes to be sent, by a fault or a loop of ours: it leaves only with the very terms
of its row, in one attempt at a time, and not again and again. What keeps being tried nonetheless
trips the kill switch.
"""

import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from brokerage.bus.connection import Bus, BusUnavailable
from brokerage.bus.egress import AlreadyLive, Entries
from brokerage.bus.kill_switch import SwitchAbsent, TooManySwitched, new_act, set_switch
from brokerage.contracts.gateway import PlaceRequest
from brokerage.contracts.kill_switch import NO_NEW_ORDERS, Scope
from brokerage.gateway.metrics import EGRESS_DECLINED, EGRESS_TRIPS

log = structlog.get_logger()

ATTEMPTS_MAX: Final = 20
"""Of one order. Pauses that double leave room for seven until its `send_by`."""
ATTEMPTS_SECONDS: Final = 20.0
TRIP_COUNT: Final = 20
TRIP_SECONDS: Final = 10.0
"""So many placements in this time that nobody entered are no accident any more."""
SETTLED_SECONDS: Final = 20.0
"""After a link was lost, what was entered meanwhile may be unknown here: that is no fault."""

Trip = Callable[[Scope, str, str], Awaitable[None]]
"""Called with scope, subject and reason."""


class Egress:
    """Admits placements one by one. `trip` stops a scope."""

    def __init__(self, entries: Entries, trip: Trip, is_settled: Callable[[], bool]) -> None:
        self._entries = entries
        self._trip = trip
        self._is_settled = is_settled
        self._claims: dict[str, int] = {}
        self._attempts: dict[str, tuple[float, int]] = {}
        self._violations: deque[tuple[float, str]] = deque()

    async def admit(self, request: PlaceRequest) -> str | None:
        """Take the order in hand; or the code of why it must not leave.

        `already-live`, `egress-unread`; `not-entered`, `terms-not-entered`, `too-many-attempts`.
        """
        order_id = request.client_order_id
        try:
            claim = await self._entries.claim(order_id)
        except AlreadyLive:
            return self._declined("already-live")
        except BusUnavailable as error:
            log.warning("placement_not_claimed", order_id=order_id, error=str(error))
            return self._declined("egress-unread")
        self._claims[order_id] = claim
        code = await self._violation(request)
        if code is not None:
            await self.free(request)
        return code

    async def free(self, request: PlaceRequest) -> None:
        """The attempt is over and may have to be repeated: nothing stands against that."""
        claim = self._claims.pop(request.client_order_id, None)
        if claim is None:
            return
        try:
            await self._entries.free(claim)
        except BusUnavailable as error:
            log.info("claim_not_freed", order_id=request.client_order_id, error=str(error))

    def done(self, request: PlaceRequest) -> None:
        """The exchange has the order: the claim goes by itself."""
        self._claims.pop(request.client_order_id, None)

    async def _violation(self, request: PlaceRequest) -> str | None:
        try:
            entered = await self._entries.terms(request.client_order_id)
        except BusUnavailable as error:
            log.warning("entry_not_read", order_id=request.client_order_id, error=str(error))
            return self._declined("egress-unread")
        if entered is None:
            code = "not-entered"
        elif entered != request:
            code = "terms-not-entered"
        elif self._one_more_attempt(request.client_order_id) > ATTEMPTS_MAX:
            code = "too-many-attempts"
        else:
            return None
        log.error("placement_not_entered", code=code, order_id=request.client_order_id)
        if entered is not None or self._is_settled():
            await self._count(request.symbol, code)
        return self._declined(code)

    def _one_more_attempt(self, order_id: str) -> int:
        now = time.monotonic()
        while self._attempts:
            oldest = next(iter(self._attempts))
            if self._attempts[oldest][0] + ATTEMPTS_SECONDS > now:
                break
            del self._attempts[oldest]
        first_at, count = self._attempts.get(order_id, (now, 0))
        self._attempts[order_id] = first_at, count + 1
        return count + 1

    async def _count(self, symbol: str, code: str) -> None:
        now = time.monotonic()
        self._violations.append((now, symbol))
        while self._violations[0][0] < now - TRIP_SECONDS:
            self._violations.popleft()
        if len(self._violations) < TRIP_COUNT:
            return
        symbols = {one for _, one in self._violations}
        self._violations.clear()
        scope: Scope = "symbol" if len(symbols) == 1 else "global"
        EGRESS_TRIPS.labels(scope).inc()
        reason = f"{TRIP_COUNT} placements that were not entered, the last {code}"
        await self._trip(scope, symbol if scope == "symbol" else "", reason)

    def _declined(self, code: str) -> str:
        EGRESS_DECLINED.labels(code).inc()
        return code


def tripping(bus: Bus, gateway: str) -> Trip:
    """Sets the kill switch to level 1, as the gateway of that name."""

    async def trip(scope: Scope, subject: str, reason: str) -> None:
        log.error("egress_tripped", scope=scope, subject=subject, reason=reason)
        act = new_act(
            scope, subject, NO_NEW_ORDERS, operator="gateway", address=gateway, reason=reason
        )
        try:
            await set_switch(bus, act)
        except (BusUnavailable, SwitchAbsent, TooManySwitched) as error:
            # Each of them was declined; without a switch that can be read all others are too.
            log.error("egress_trip_failed", error=repr(error))  # noqa: TRY400 - no news in a trace

    return trip
