"""The exchange's order API, over two connections: one for placements, one for all else.

Every method returns an answer and never raises for what happens on the way: whatever is not an
answer that the protocol documents tells nothing about the order, and is outcome `unknown`.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from brokerage.contracts.gateway import (
    CancelRequest,
    ExternalOrder,
    GatewayReply,
    PlaceRequest,
    QueryRequest,
)
from brokerage.gateway.batching import SendAlone
from brokerage.gateway.metrics import EXCHANGE_CALLS, EXCHANGE_CONNECTS, EXCHANGE_SECONDS
from brokerage.runtime.tracing import span
from exchange import protocol

CONNECT_SECONDS: Final = 0.5
CALL_SECONDS: Final = 1.0
"""The whole of one call, connecting included."""
LINE_WAIT_SECONDS: Final = 2.0
"""A call that has not had its turn on the connection by then is given up: nobody waits for it."""
IDLE_SECONDS: Final = 4.0
"""An idle connection is not used again after this long: common servers close it after 5 s, and a
request sent in that moment is lost with it."""
UNKNOWN_ORDER: Final = "unknown-order"

Reply = TypeVar("Reply")


class NoAnswer(Exception):
    """The exchange did not answer in a way that tells anything; `code` says what happened."""

    def __init__(self, code: str, reason: str) -> None:
        self.code = code
        super().__init__(reason)


class Malformed(Exception):
    """The exchange says that what was sent is not such a request at all; nothing came of it."""

    def __init__(self, problem: protocol.Problem) -> None:
        self.code = problem.code
        super().__init__(problem.detail)


class _Line:
    """One connection to the exchange, used by one request at a time."""

    def __init__(
        self, url: str, member: str, name: str, transport: httpx.AsyncBaseTransport | None
    ) -> None:
        self._name = name
        self._turn = asyncio.Lock()
        self._connection: object = None
        self._client = httpx.AsyncClient(
            base_url=url,
            headers={"X-Member": member, "Content-Type": "application/json"},
            timeout=httpx.Timeout(CALL_SECONDS, connect=CONNECT_SECONDS),
            limits=httpx.Limits(
                max_connections=1, max_keepalive_connections=1, keepalive_expiry=IDLE_SECONDS
            ),
            trust_env=False,
            transport=transport,
        )

    async def close(self) -> None:
        await self._client.aclose()

    async def call(self, method: str, path: str, body: bytes | None = None) -> httpx.Response:
        """Return whatever the exchange answers, with any status; raises `NoAnswer`."""
        try:
            async with asyncio.timeout(LINE_WAIT_SECONDS):
                await self._turn.acquire()
        except TimeoutError as error:
            raise NoAnswer("gateway-busy", "no turn on the connection in time") from error
        try:
            # It is another company: the trace ends here, and its headers do not go out.
            with span(f"exchange {self._name}", "client"):
                return await self._send(method, path, body)
        finally:
            self._turn.release()

    async def _send(self, method: str, path: str, body: bytes | None) -> httpx.Response:
        began = time.monotonic()
        result = "error"
        try:
            # httpx's own timeouts are per read: a reply in small pieces would never end.
            async with asyncio.timeout(CALL_SECONDS):
                response = await self._client.request(method, path, content=body)
            result = str(response.status_code)
        except (TimeoutError, httpx.TimeoutException) as error:
            result = "timeout"
            raise NoAnswer("exchange-timeout", repr(error)) from error
        except httpx.HTTPError as error:
            raise NoAnswer("exchange-unreachable", repr(error)) from error
        else:
            self._note_connection(response)
        finally:
            EXCHANGE_CALLS.labels(self._name, result).inc()
            EXCHANGE_SECONDS.labels(self._name).observe(time.monotonic() - began)
        return response

    def _note_connection(self, response: httpx.Response) -> None:
        # A hook of the driver's for connecting costs each request a tenth of a millisecond.
        connection = response.extensions.get("network_stream")
        if connection is not self._connection:
            self._connection = connection
            EXCHANGE_CONNECTS.labels(self._name).inc()


class ExchangeClient:
    """Places, cancels and looks up orders; `transport` can stand in for the network."""

    def __init__(
        self, url: str, member: str, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._placements = _Line(url, member, "place", transport)
        self._others = _Line(url, member, "other", transport)

    async def close(self) -> None:
        """Close both connections."""
        await self._placements.close()
        await self._others.close()

    async def place(self, requests: Sequence[PlaceRequest]) -> list[GatewayReply]:
        """Send up to `BATCH_MAX` placements in one request; answers in the same order.

        Raises `SendAlone` where one that is no placement at all spoils it for the others.
        """
        placements = [_placement(request) for request in requests]
        try:
            if len(placements) == 1:
                response = await self._placements.call(
                    "POST", "/v1/orders", msgspec.json.encode(placements[0])
                )
                replies = [_answer(response, protocol.PlacementReply)]
            else:
                response = await self._placements.call(
                    "POST",
                    "/v1/orders/batch",
                    msgspec.json.encode(protocol.PlacementBatch(placements)),
                )
                replies = _answer(response, protocol.PlacementBatchReply).replies
        except NoAnswer as error:
            return [_unknown(error)] * len(placements)
        except Malformed as error:
            if len(placements) == 1:
                return [GatewayReply("refused", code=error.code, reason=str(error))]
            raise SendAlone from error
        if len(replies) != len(placements):
            miscount = NoAnswer("exchange-unreadable", f"{len(replies)} answers")
            return [_unknown(miscount)] * len(placements)
        return [_placed(request, reply) for request, reply in zip(requests, replies, strict=True)]

    async def cancel(self, request: CancelRequest) -> GatewayReply:
        """Take one order off the book, or have the exchange refuse it from now on.

        An exchange that does not know its own id any more (it lost its journal) is asked by ours:
        only of that one it promises to refuse what it does not know.
        """
        by_client_id = protocol.Cancellation(client_order_id=request.client_order_id)
        if request.external_order_id is None:
            return await self._cancel(request, by_client_id)
        by_order_id = protocol.Cancellation(order_id=request.external_order_id)
        reply = await self._cancel(request, by_order_id)
        if reply.code != UNKNOWN_ORDER:
            return reply
        return await self._cancel(request, by_client_id)

    async def _cancel(
        self, request: CancelRequest, cancellation: protocol.Cancellation
    ) -> GatewayReply:
        try:
            response = await self._others.call(
                "POST", "/v1/cancels", msgspec.json.encode(cancellation)
            )
            return _cancelled(request, _answer(response, protocol.CancelReply))
        except NoAnswer as error:
            return _unknown(error)
        except Malformed as error:
            return GatewayReply("unknown", code=error.code, reason=str(error))

    async def cancel_all(self, account_ref: str | None, symbol: str | None) -> int:
        """Take all our live orders off the book, or those of an account or symbol; how many it
        were. Raises `NoAnswer`.

        On the placements' connection: so it comes after whatever is under way there.
        """
        selection = protocol.MassCancellation(account=account_ref, symbol=symbol)
        try:
            response = await self._placements.call(
                "POST", "/v1/cancels/all", msgspec.json.encode(selection)
            )
            return len(_answer(response, protocol.MassCancelReply).cancelled)
        except Malformed as error:
            raise NoAnswer(error.code, str(error)) from error

    async def read(self, path: str, of: type[Reply]) -> Reply:
        """Ask what changes nothing. Raises `NoAnswer` and `Malformed`."""
        return _answer(await self._others.call("GET", path), of)

    async def post(self, path: str, body: bytes) -> int:
        """Say what is about no order's way; the status of the answer. Raises `NoAnswer`."""
        return (await self._others.call("POST", path, body)).status_code

    async def query(self, request: QueryRequest) -> GatewayReply:
        """Look one order up, by the exchange's id where it is given."""
        if request.external_order_id is not None:
            path = f"/v1/orders/{quote(request.external_order_id, safe='')}"
        elif request.client_order_id is not None:
            path = f"/v1/orders/by-client-id/{quote(request.client_order_id, safe='')}"
        else:
            return GatewayReply("unknown", code="malformed-request", reason="no id to ask for")
        try:
            response = await self._others.call("GET", path)
            if response.status_code == 404:
                problem = _read(response, protocol.Problem)
                return GatewayReply("absent", code=problem.code, reason=problem.detail)
            report = _answer(response, protocol.OrderReport)
        except NoAnswer as error:
            return _unknown(error)
        except Malformed as error:
            return GatewayReply("unknown", code=error.code, reason=str(error))
        if request.external_order_id not in (None, report.order_id) or (
            request.client_order_id not in (None, report.client_order_id)
        ):
            return GatewayReply("unknown", code="exchange-unreadable", reason="another order")
        return GatewayReply("found", order=_external(report))


@asynccontextmanager
async def open_exchange(url: str, member: str) -> AsyncIterator[ExchangeClient]:
    """Yield a client of the exchange; nothing is connected before the first call."""
    client = ExchangeClient(url, member)
    try:
        yield client
    finally:
        await client.close()


def _read(response: httpx.Response, of: type[Reply]) -> Reply:
    try:
        return msgspec.json.decode(response.content, type=of)
    except msgspec.DecodeError as error:
        raise NoAnswer(
            "exchange-unreadable", f"{response.status_code}: {str(error)[:200]}"
        ) from error


def _answer(response: httpx.Response, of: type[Reply]) -> Reply:
    if response.status_code == 200:
        return _read(response, of)
    if response.status_code == 422:
        raise Malformed(_read(response, protocol.Problem))
    raise NoAnswer("exchange-error", f"status {response.status_code}")


def _unknown(error: NoAnswer) -> GatewayReply:
    return GatewayReply("unknown", code=error.code, reason=str(error))


def _placement(request: PlaceRequest) -> protocol.Placement:
    return protocol.Placement(
        client_order_id=request.client_order_id,
        account=request.account_ref,
        symbol=request.symbol,
        side=request.side,
        price_cents=request.price_cents,
        shares=request.shares,
        send_by_ms=request.send_by_ms,
        time_in_force=request.time_in_force,
    )


def _external(report: protocol.OrderReport) -> ExternalOrder:
    return ExternalOrder(
        external_order_id=report.order_id,
        client_order_id=report.client_order_id,
        status=report.status,
        cumulative_shares=report.cumulative_shares,
        reason=report.reason,
    )


def _placed(request: PlaceRequest, reply: protocol.PlacementReply) -> GatewayReply:
    if reply.client_order_id != request.client_order_id:
        return GatewayReply("unknown", code="exchange-unreadable", reason="another order")
    if reply.outcome == "refused":
        return GatewayReply("refused", code=reply.code or "refused", reason=reply.reason)
    if reply.order is None or reply.order.client_order_id != request.client_order_id:
        return GatewayReply("unknown", code="exchange-unreadable", reason="accepted, no order")
    return GatewayReply("accepted", order=_external(reply.order))


def _cancelled(request: CancelRequest, reply: protocol.CancelReply) -> GatewayReply:
    order = reply.order
    if order is not None and order.client_order_id != request.client_order_id:
        return GatewayReply("unknown", code="exchange-unreadable", reason="another order")
    external = None if order is None else _external(order)
    match reply.outcome:
        case "unknown-remembered":
            return GatewayReply("absent", code=reply.code, reason=reply.reason)
        case "refused":
            if external is None:
                # It knows no order by this id of its own: that says nothing of whether it lives.
                return GatewayReply("unknown", code=reply.code or "refused", reason=reply.reason)
            return GatewayReply(
                "refused", external, code=reply.code or "refused", reason=reply.reason
            )
        case "cancelled" | "too-late":
            # Without the order there is no count of executed shares, and nothing can be released.
            if external is None:
                return GatewayReply("unknown", code="exchange-unreadable", reason="no order")
            return GatewayReply(reply.outcome, external, code=reply.code, reason=reply.reason)
