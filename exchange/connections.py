"""Counts what each member keeps open and asks for, from the sockets themselves."""

import asyncio
from collections import Counter
from typing import Final

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from exchange.protocol import MemberCounts
from exchange.records import MemberState

Client = tuple[str, int]
_TRANSPORTS_MAX: Final = 4_096


class MemberTraffic(msgspec.Struct):
    """What one member did since the process started."""

    connections_max: int = 0
    requests_by_route: Counter[str] = msgspec.field(default_factory=Counter)


class Connections:
    """The open sockets, and which member was seen on each.

    A connection belongs to the member its newest request named; it counts until the socket closes.
    """

    def __init__(self, member_max: int) -> None:
        self._member_max = member_max
        self._transports: dict[Client, asyncio.Transport] = {}
        self._member_of: dict[Client, str] = {}
        self._open: dict[str, set[Client]] = {}
        self._feeds: dict[str, set[Client]] = {}
        self._traffic: dict[str, MemberTraffic] = {}

    def opened(self, client: Client, transport: asyncio.Transport) -> None:
        """Note a new socket."""
        if len(self._transports) > _TRANSPORTS_MAX:
            # An upgrade that was refused says nothing when its socket closes.
            self._transports = {c: t for c, t in self._transports.items() if not t.is_closing()}
        self._transports[client] = transport

    def closed(self, client: Client) -> None:
        """Note that a socket is gone."""
        self._transports.pop(client, None)
        member = self._member_of.pop(client, None)
        if member is not None:
            self._open[member].discard(client)

    def request(self, client: Client | None, member: str, route: str) -> None:
        """Count a request, and the connection it came on."""
        traffic = self._member(member)
        traffic.requests_by_route[route] += 1
        if client is None or client not in self._transports:
            return
        before = self._member_of.get(client)
        if before != member:
            if before is not None:
                self._open[before].discard(client)
            self._member_of[client] = member
            self._open.setdefault(member, set()).add(client)
            self._note_max(member)

    def feed_opened(self, client: Client, member: str) -> None:
        """Count a feed connection; its socket is no order connection any more."""
        self._member(member).requests_by_route["feed"] += 1
        self._feeds.setdefault(member, set()).add(client)
        self._note_max(member)

    def feed_closed(self, client: Client, member: str) -> None:
        """Note that a feed connection is gone."""
        self._feeds[member].discard(client)
        self._transports.pop(client, None)

    def abort(self, client: Client | None) -> None:
        """Break a connection without a word."""
        transport = None if client is None else self._transports.get(client)
        if transport is not None:
            transport.abort()

    def feed_count(self) -> int:
        """Return how many feed connections are open."""
        return sum(len(clients) for clients in self._feeds.values())

    def is_new_member_refused(self, member: str) -> bool:
        """Whether the member is unknown and there are too many already."""
        return member not in self._traffic and len(self._traffic) >= self._member_max

    def counts(self, states: dict[str, MemberState]) -> dict[str, MemberCounts]:
        """Return the counts of every member that was ever seen."""
        nothing, none = MemberTraffic(), MemberState()
        return {
            member: _counts(
                len(self._open.get(member, ())),
                len(self._feeds.get(member, ())),
                self._traffic.get(member, nothing),
                states.get(member, none),
            )
            for member in sorted({*self._traffic, *states})
        }

    def _member(self, member: str) -> MemberTraffic:
        traffic = self._traffic.get(member)
        if traffic is None:
            traffic = self._traffic[member] = MemberTraffic()
        return traffic

    def _note_max(self, member: str) -> None:
        traffic = self._member(member)
        count = len(self._open.get(member, ())) + len(self._feeds.get(member, ()))
        traffic.connections_max = max(traffic.connections_max, count)


def _counts(
    open_count: int, feed_count: int, traffic: MemberTraffic, state: MemberState
) -> MemberCounts:
    return MemberCounts(
        open_connections=open_count,
        open_feed_connections=feed_count,
        connections_max=traffic.connections_max,
        requests=traffic.requests_by_route.total(),
        requests_by_route=dict(traffic.requests_by_route),
        orders=state.orders,
        executions=state.executions,
        member_seq=state.seq,
    )


def counting_protocol(connections: Connections) -> type[HttpToolsProtocol]:
    """Return uvicorn's protocol with its sockets counted."""

    class CountingProtocol(HttpToolsProtocol):
        _seen: Client | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if self.client is not None:
                self._seen = (self.client[0], self.client[1])
                connections.opened(self._seen, transport)

        def connection_lost(self, exc: Exception | None) -> None:
            # Not called once a socket was upgraded: feeds are counted by their route.
            super().connection_lost(exc)
            if self._seen is not None:
                connections.closed(self._seen)

    return CountingProtocol
