"""What the routes share: the parts of a running exchange, reading requests, writing replies."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Final, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from exchange.connections import Client, Connections
from exchange.directory import Security
from exchange.faults import AFTER, Call, FaultRules, RuleRequest
from exchange.hub import Hub
from exchange.inputs import Input, Reply
from exchange.plans import Moment, Plans
from exchange.protocol import Problem
from exchange.settings import Settings
from exchange.venue import Venue, VenueFailed

T = TypeVar("T")
_encode = msgspec.json.Encoder().encode
_NAME_LENGTH_MAX: Final = 64


class Refused(Exception):
    """The request is no request: answered with a problem, nothing happened."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.problem = Problem(status, code, detail)


@dataclass
class Desk:
    """The parts of a running exchange. `stopping` is set when the process is to end."""

    settings: Settings
    venue: Venue
    hub: Hub
    rules: FaultRules
    plans: Plans
    connections: Connections
    listed: tuple[Security, ...]
    session: str
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    hidden_until: dict[str, float] = field(default_factory=dict)

    async def submit(self, member: str, inputs: list[Input]) -> list[Reply]:
        """Apply inputs and wait until they are durable.

        Raises:
            Refused: the journal failed; what became of the inputs is unknown.
        """
        try:
            return await self.venue.submit(member, inputs)
        except VenueFailed as error:
            raise Refused(503, "journal-failed", str(error)) from error

    async def reach(self, moment: Moment, call: Call) -> None:
        """Do what is planned for this moment of the order that a call is about.

        Raises:
            Refused: the journal failed.
        """
        try:
            await self.plans.came(moment, call.member, call.client_order_id)
        except VenueFailed as error:
            raise Refused(503, "journal-failed", str(error)) from error

    async def strike(
        self,
        request: Request,
        calls: list[Call],
        carry_out: Callable[[], Awaitable[Response]],
    ) -> Response:
        """Carry out a call, with the fault that strikes it, if any."""
        struck = self.rules.strike_call(calls)
        if struck is None:
            return await carry_out()
        if struck.action not in AFTER:
            return await self._before(request, struck, carry_out)
        response = await carry_out()
        match struck.action:
            case "delay-reply":
                await self.pause(struck.seconds)
            case "accept-then-error":
                return problem(struck.status, "fault", struck.reason)
            case "accept-then-drop":
                self.connections.abort(client_of(request))
            case "accept-then-hang":
                await self.pause(struck.seconds)
                self.connections.abort(client_of(request))
            case "garbage":
                return Response(
                    bytes(response.body[:20]) + b"\x00\xff<garbage", media_type="application/json"
                )
        return response

    async def _before(
        self, request: Request, struck: RuleRequest, carry_out: Callable[[], Awaitable[Response]]
    ) -> Response:
        match struck.action:
            case "delay":
                await self.pause(struck.seconds)
                return await carry_out()
            case "hang":
                await self.pause(struck.seconds)
                self.connections.abort(client_of(request))
            case "drop":
                self.connections.abort(client_of(request))
        return problem(struck.status, "fault", struck.reason)

    async def pause(self, seconds: float) -> None:
        """Wait, but not longer than the process lives."""
        try:
            async with asyncio.timeout(seconds):
                await self.stopping.wait()
        except TimeoutError:
            return

    def hide(self, order_id: str, seconds: float) -> None:
        """Keep an order from queries for a while."""
        now = monotonic()
        self.hidden_until = {k: until for k, until in self.hidden_until.items() if until > now}
        self.hidden_until[order_id] = now + seconds

    def is_hidden(self, order_id: str) -> bool:
        """Whether queries must not see the order yet."""
        return self.hidden_until.get(order_id, 0.0) > monotonic()


def client_of(request: Request) -> Client | None:
    """Return the address the request came from."""
    return None if request.client is None else (request.client.host, request.client.port)


def member_of(request: Request, desk: Desk, route: str) -> str:
    """Return the member that asks, and count its request.

    Raises:
        Refused: the header is missing or too long, or there are too many members.
    """
    member = request.headers.get("x-member", "")
    check_name(member, "X-Member")
    if desk.connections.is_new_member_refused(member):
        raise Refused(429, "too-many-members", "too many different members")
    desk.connections.request(client_of(request), member, route)
    return member


def check_name(value: str, name: str) -> None:
    """Check an id or a name that a client made up.

    Raises:
        Refused: it is empty, too long, or has something unprintable in it.
    """
    if not 0 < len(value) <= _NAME_LENGTH_MAX or not value.isprintable():
        raise Refused(422, "invalid-name", f"{name} must have 1 to {_NAME_LENGTH_MAX} characters")


async def read(request: Request, decoder: "msgspec.json.Decoder[T]", bytes_max: int) -> T:
    """Read the body.

    Raises:
        Refused: it is too large, or not what the decoder wants.
    """
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > bytes_max:
            raise Refused(413, "body-too-large", f"at most {bytes_max} bytes")
        chunks.append(chunk)
    try:
        return decoder.decode(b"".join(chunks))
    except msgspec.DecodeError as error:
        # A body that breaks a rule of its type is a DecodeError too.
        raise Refused(422, "invalid-body", str(error)) from error
    except UnicodeDecodeError as error:
        raise Refused(422, "invalid-body", "the body is not UTF-8") from error


def whole_number(request: Request, name: str, default: int, *, at_most: int) -> int:
    """Return a number of the query.

    Raises:
        Refused: it is no whole number from 0 to `at_most`.
    """
    text = request.query_params.get(name)
    if text is None or text == "":
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 19 and int(text) <= at_most):
        raise Refused(422, "invalid-query", f"{name} must be a whole number from 0 to {at_most}")
    return int(text)


def answer(body: Any, status: int = 200) -> Response:
    """Return a JSON response."""
    return Response(_encode(body), status, media_type="application/json")


def problem(status: int, code: str, detail: str) -> Response:
    """Return an error that is no answer about an order."""
    return Response(
        _encode(Problem(status, code, detail)), status, media_type="application/problem+json"
    )
