"""The asynchronous client.

async with Sherwood("http://127.0.0.1:8000", auth=BearerToken(token)) as sherwood:
    placement = await sherwood.place("buy", "META", 10, price_cents=52_210)
    async with aclosing(sherwood.prices(["META"])) as stream:
        async for event in stream:
            ...
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from datetime import date, datetime
from types import TracebackType
from typing import Final, Self
from urllib.parse import quote
from uuid import UUID, uuid4

import httpx

from client._answers import read
from client._transport import Transport
from client.dead_man import CancelAfter
from client.errors import (
    OutcomeUnknown,
    RateLimited,
    ServerFailed,
    SherwoodError,
    Unavailable,
    UnexpectedAnswer,
    Unreachable,
)
from client.means import HoldPage, Preview
from client.models import (
    BarPage,
    Cancellation,
    CancelledOrders,
    Clock,
    ExecutionPage,
    Interval,
    ListedSymbol,
    Order,
    OrderPage,
    Placement,
    Portfolio,
    PortfolioHistory,
    Position,
    StreamTicket,
    SymbolPage,
    TimeInForce,
    Token,
    Why,
    Window,
)
from client.operations import Operations
from client.order_events import OrderEventPage, OrderEventStream
from client.order_trail import OwnEventPage
from client.prices import PriceStream
from client.retry import Backoff, Retry, RetryPolicy

_POLL: Final = Backoff(first_seconds=0.2, max_seconds=2.0)
# After one of these, an attempt that may have arrived leaves the placement undecided. Every other
# answer (422, 401, ...) is given by key, so it holds for the earlier attempts as well.
_UNDECIDED: Final = (Unreachable, Unavailable, ServerFailed, RateLimited, UnexpectedAnswer)


class Sherwood:
    """One Sherwood and one user; use it as `async with`.

    Every method raises SherwoodError, see `client.errors`. Requests are repeated within the bounds
    of `policy`; `on_retry` hears of it. `ops` is for operators. `http_transport` replaces the
    network, for tests.
    """

    def __init__(
        self,
        base_url: str,
        *,
        auth: httpx.Auth | None = None,
        policy: RetryPolicy | None = None,
        on_retry: Callable[[Retry], None] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        http_transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._transport = Transport(
            base_url,
            auth=auth,
            policy=policy or RetryPolicy(),
            on_retry=on_retry,
            sleep=sleep,
            http_transport=http_transport,
        )
        self.ops = Operations(self._transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._transport.aclose()

    async def development_token(self, user: str, *, scope: str | None = None) -> Token:
        """Return a token for a user name; only a server in development hands them out."""
        body = {"user": user} | ({"scope": scope} if scope else {})
        return read(await self._transport.request("POST", "/dev/token", json=body), Token)

    async def place(
        self,
        position: Position,
        symbol: str,
        num_shares: int,
        *,
        price_cents: int | None = None,
        time_in_force: TimeInForce | None = None,
        key: UUID | None = None,
        simulate: str | None = None,
    ) -> Placement:
        """Place an order, a market order without `price_cents`; repeating a `key` is harmless.

        The order may come back undecided (`placement_is_unknown`): `wait_for_outcome` then. Raises
        Refused with the stored order, and OutcomeUnknown, with the key to repeat, if no attempt
        got a definite answer. `simulate` has a server in development let that happen to the order.
        """
        key = key or uuid4()  # made before anything is sent: every attempt is the same order
        body = _order_body(position, symbol, num_shares, price_cents, time_in_force)
        headers = {"Idempotency-Key": str(key)}
        if simulate is not None:
            headers["Sherwood-Simulate"] = simulate
        try:
            response = await self._transport.request("POST", "/order", json=body, headers=headers)
            order = read(response, Order)
        except UnexpectedAnswer as error:
            raise OutcomeUnknown(key, error) from error
        except _UNDECIDED as error:
            if error.may_have_arrived:
                raise OutcomeUnknown(key, error) from error
            raise
        return Placement(
            order=order, replayed=response.headers.get("Idempotent-Replayed", "") == "true"
        )

    async def preview(
        self,
        position: Position,
        symbol: str,
        num_shares: int,
        *,
        price_cents: int | None = None,
        time_in_force: TimeInForce | None = None,
    ) -> Preview:
        """Return what `place` would do, without doing it. Raises Refused for a malformed order, and
        Unavailable where none is taken now.
        """
        body = _order_body(position, symbol, num_shares, price_cents, time_in_force)
        return read(await self._transport.request("POST", "/order/preview", json=body), Preview)

    async def order(self, order_id: UUID) -> Order:
        """Return one order. Raises NotFound, also for somebody else's."""
        return read(await self._transport.request("GET", f"/order/{order_id}"), Order)

    async def why(self, order_id: UUID) -> Why:
        """Return why an order has not filled. Raises NotFound, also for somebody else's."""
        return read(await self._transport.request("GET", f"/order/{order_id}/why"), Why)

    async def cancel(self, order_id: UUID) -> Cancellation:
        """Cancel what is unfilled. Raises Refused with the final order if it is too late."""
        return read(await self._transport.request("DELETE", f"/order/{order_id}"), Cancellation)

    async def cancel_all(self, *, symbol: str | None = None) -> CancelledOrders:
        """Cancel what is open, or what is open of `symbol`: up to 100 orders, a result for each.

        While `more` is True, the same call sees to others. See `client.cancelling`.
        """
        params = {} if symbol is None else {"symbol": symbol}
        return read(
            await self._transport.request("DELETE", "/orders", params=params), CancelledOrders
        )

    async def cancel_after(self, seconds: int) -> CancelAfter:
        """Have all that is open then cancelled in `seconds`, unless called again before; 0 disarms.

        It holds whatever restarts or goes away meanwhile. Raises Refused.
        """
        answer = await self._transport.request(
            "POST", "/orders/cancel-after", json={"seconds": seconds}
        )
        return read(answer, CancelAfter)

    async def read_cancel_after(self) -> CancelAfter:
        """Return the dead-man switch as it is."""
        return read(await self._transport.request("GET", "/orders/cancel-after"), CancelAfter)

    async def orders(
        self,
        *,
        status: str | None = None,
        symbol: str | None = None,
        idempotency_key: UUID | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> OrderPage:
        """Return a page of the user's orders, newest first.

        `status` is `open`, `closed` or names of statuses separated by commas; `idempotency_key`
        finds what a lost answer placed, without placing.
        """
        asked: dict[str, str | int | None] = {
            "status": status,
            "symbol": symbol,
            "idempotencyKey": None if idempotency_key is None else str(idempotency_key),
            "limit": limit,
            "cursor": cursor,
        }
        params = {name: value for name, value in asked.items() if value is not None}
        return read(await self._transport.request("GET", "/orders", params=params), OrderPage)

    async def order_events(
        self, after: int = 0, *, limit: int | None = None, order_id: UUID | None = None
    ) -> OrderEventPage:
        """Return what happened to the user's orders, or to one of them, after the event `after`."""
        asked: dict[str, str | int | None] = {
            "after": after,
            "limit": limit,
            "orderId": None if order_id is None else str(order_id),
        }
        params = {name: value for name, value in asked.items() if value is not None}
        response = await self._transport.request("GET", "/orders/events", params=params)
        return read(response, OrderEventPage)

    async def events_of(
        self, order_id: UUID | str, *, limit: int | None = None, cursor: str | None = None
    ) -> OwnEventPage:
        """Return what happened to one order, when and by whom. Raises NotFound."""
        asked = {"limit": limit, "cursor": cursor}
        params = {name: value for name, value in asked.items() if value is not None}
        path = f"/order/{order_id}/events"
        return read(await self._transport.request("GET", path, params=params), OwnEventPage)

    def follow_orders(self, after: int | None = None) -> OrderEventStream:
        """Return what happens to the user's orders after an event (0: all), or from now on.

        Close it (`contextlib.aclosing`) when done. See `client.order_events`.
        """
        return OrderEventStream(self._transport, after)

    async def executions(
        self,
        *,
        symbol: str | None = None,
        order_id: UUID | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> ExecutionPage:
        """Return a page of the user's executions, newest first; of one symbol or order if given."""
        asked: dict[str, str | int | None] = {
            "symbol": symbol,
            "orderId": None if order_id is None else str(order_id),
            "limit": limit,
            "cursor": cursor,
        }
        params = {name: value for name, value in asked.items() if value is not None}
        answer = await self._transport.request("GET", "/executions", params=params)
        return read(answer, ExecutionPage)

    async def portfolio(self, *, as_of_seq: int | None = None) -> Portfolio:
        """Return cash, holds and positions, as they were right after an order event if it is named;
        then without prices. Raises Refused for an event that never was.
        """
        params = {} if as_of_seq is None else {"asOfSeq": as_of_seq}
        return read(await self._transport.request("GET", "/portfolio", params=params), Portfolio)

    async def holds(self, *, limit: int | None = None, cursor: str | None = None) -> HoldPage:
        """Return a page of what open orders hold of cash and shares, and why."""
        asked = {"limit": limit, "cursor": cursor}
        params = {name: value for name, value in asked.items() if value is not None}
        response = await self._transport.request("GET", "/account/holds", params=params)
        return read(response, HoldPage)

    async def symbols(self, *, cursor: str | None = None) -> SymbolPage:
        """Return a page of the directory with the newest prices."""
        params = {} if cursor is None else {"cursor": cursor}
        return read(await self._transport.request("GET", "/symbols", params=params), SymbolPage)

    async def symbol(self, name: str) -> ListedSymbol:
        """Return one symbol with its newest price. Raises NotFound."""
        path = f"/symbol/{quote(name, safe='')}"
        return read(await self._transport.request("GET", path), ListedSymbol)

    async def clock(self) -> Clock:
        """Return the time, and whether the exchange takes orders; answered whatever is away."""
        return read(await self._transport.request("GET", "/clock"), Clock)

    async def bars(
        self,
        symbol: str,
        interval: Interval = "1m",
        *,
        begin: datetime | date | None = None,
        end: datetime | date | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> BarPage:
        """Return bars that begin in [begin, end), ascending; times are aware, a date is in UTC.

        Without `begin` the last `limit` before `end`, or up to now. Raises NotFound, and Refused
        (`range-not-kept`) for a range older than what is kept of the interval.
        """
        asked: dict[str, str | int | None] = {
            "interval": interval,
            "from": None if begin is None else begin.isoformat(),
            "to": None if end is None else end.isoformat(),
            "limit": limit,
            "cursor": cursor,
        }
        params = {name: value for name, value in asked.items() if value is not None}
        path = f"/symbol/{quote(symbol, safe='')}/bars"
        return read(await self._transport.request("GET", path, params=params), BarPage)

    async def portfolio_history(self, window: Window = "1d") -> PortfolioHistory:
        """Return what the account was worth over time, from its opening at the earliest."""
        response = await self._transport.request(
            "GET", "/portfolio/history", params={"window": window}
        )
        return read(response, PortfolioHistory)

    def prices(self, symbols: Iterable[str]) -> PriceStream:
        """Return the live prices of `symbols`, reconnecting for ever once connected.

        Close it (`contextlib.aclosing`) when done; its `change` watches other symbols. See
        `client.prices`.
        """
        return PriceStream(self._transport, tuple(symbols))

    async def stream_ticket(self) -> StreamTicket:
        """Return a ticket that opens one stream, for a browser that cannot send the token."""
        return read(await self._transport.request("POST", "/stream-ticket"), StreamTicket)

    async def wait_for_outcome(self, order: Order, timeout_seconds: float) -> Order:
        """Return the order once the exchange has said yes or no to it, or as last seen."""
        return await self._wait(order, timeout_seconds, lambda seen: seen.placement_is_unknown)

    async def wait_for_cancel(self, order: Order, timeout_seconds: float) -> Order:
        """Return the order once its cancel was answered, or as last seen."""
        return await self._wait(order, timeout_seconds, lambda seen: seen.cancel_is_unknown)

    async def _wait(
        self, order: Order, timeout_seconds: float, waiting: Callable[[Order], bool]
    ) -> Order:
        looks = 0
        try:
            async with asyncio.timeout(timeout_seconds):
                while waiting(order):
                    looks += 1
                    await self._transport.sleep(_POLL.delay_seconds(looks))
                    try:
                        order = await self.order(order.id)
                    except SherwoodError as error:
                        if not error.retryable:
                            raise
        except TimeoutError:
            pass  # the order as last seen says that it is still undecided
        return order


def _order_body(
    position: Position,
    symbol: str,
    num_shares: int,
    price_cents: int | None,
    time_in_force: TimeInForce | None,
) -> dict[str, str | int]:
    body: dict[str, str | int] = {"position": position, "symbol": symbol, "numShares": num_shares}
    if price_cents is not None:
        body["priceInCents"] = price_cents
    if time_in_force is not None:
        body["timeInForce"] = time_in_force
    return body
