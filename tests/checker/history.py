"""What clients asked and what they were told, call by call."""

import time
from collections.abc import Awaitable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal
from uuid import uuid4

import httpx

Op = Literal["place", "cancel", "read", "list"]
Outcome = Literal["ok", "fail", "info"]
PAGE: Final = 5
"""Orders a page when a client walks through its list: few, so that there are several pages."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call. Times are seconds of the wall clock, `returned_at` also where nothing came.

    `ok`: done (2xx); `fail`: refused (4xx); `info`: no answer or 5xx, so it may have happened or
    not. `answer` is the body; of a `list`, that of its last page with the `items` of all of them.
    `replayed`: the stored answer of an earlier placement.
    """

    op: Op
    user: str
    invoked_at: float
    returned_at: float
    outcome: Outcome
    key: str | None = None
    order_id: str | None = None
    body: Mapping[str, Any] | None = None
    status: int | None = None
    answer: Any = None
    replayed: bool = False

    def orders_told(self) -> Iterator[Mapping[str, Any]]:
        """Every order that the answer shows."""
        if not isinstance(self.answer, dict):
            return
        yield from self.answer.get("items", ())
        told = self.answer.get("order", self.answer)
        if isinstance(told, dict) and "version" in told:
            yield told


class History:
    """The calls of all clients, in the order in which they returned."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def client(self, http: httpx.AsyncClient, user: str) -> "RecordingClient":
        """A client that speaks for `user` through `http` and records what it hears here."""
        return RecordingClient(self, http, user)


class RecordingClient:
    """Sends each request once, as a client would, and hands on its answer; None is no answer."""

    def __init__(self, history: History, http: httpx.AsyncClient, user: str) -> None:
        self._history = history
        self._http = http
        self._user = user

    async def place(self, body: Mapping[str, Any], key: str | None = None) -> httpx.Response | None:
        """`POST /order`; a new key unless one is given."""
        key = key or str(uuid4())
        request = self._http.post("/order", json=body, headers={"idempotency-key": key})
        return await self._recorded(request, "place", key=key, body=body)

    async def cancel(self, order_id: str) -> httpx.Response | None:
        """`DELETE /order/{id}`."""
        request = self._http.delete(f"/order/{order_id}")
        return await self._recorded(request, "cancel", order_id=order_id)

    async def read(self, order_id: str) -> httpx.Response | None:
        """`GET /order/{id}`."""
        request = self._http.get(f"/order/{order_id}")
        return await self._recorded(request, "read", order_id=order_id)

    async def list(self) -> httpx.Response | None:
        """`GET /orders`, page after page to the end: recorded as one call, its last page answered.

        A page that is not answered ends the walk, and makes the call what that page is.
        """
        items: list[Any] = []
        cursor: str | None = None
        invoked_at = time.time()
        while True:
            page = {"limit": PAGE} | ({"cursor": cursor} if cursor else {})
            response = await _answer(self._http.get("/orders", params=page))
            body = _json(response)
            if response is None or not response.is_success:
                break
            items += body["items"]
            cursor = body["nextCursor"]
            if cursor is None:
                body["items"] = items
                break
        self._record("list", invoked_at, response, body)
        return response

    async def _recorded(
        self, request: Awaitable[httpx.Response], op: Op, **terms: Any
    ) -> httpx.Response | None:
        invoked_at = time.time()
        response = await _answer(request)
        self._record(op, invoked_at, response, _json(response), **terms)
        return response

    def _record(
        self, op: Op, invoked_at: float, response: httpx.Response | None, answer: Any, **terms: Any
    ) -> None:
        self._history.calls.append(
            Call(
                op,
                self._user,
                invoked_at,
                time.time(),
                _outcome(response),
                status=None if response is None else response.status_code,
                answer=answer,
                replayed=response is not None and "idempotent-replayed" in response.headers,
                **terms,
            )
        )


async def _answer(request: Awaitable[httpx.Response]) -> httpx.Response | None:
    try:
        return await request
    except httpx.TransportError:
        return None


def _outcome(response: httpx.Response | None) -> Outcome:
    if response is None or response.is_server_error:
        return "info"
    return "ok" if response.is_success else "fail"


def _json(response: httpx.Response | None) -> Any:
    if response is None or "json" not in response.headers.get("content-type", ""):
        return None
    return response.json()
