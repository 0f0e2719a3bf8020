"""Opening streams: how fast a node takes them, from the first connect to the last snapshot."""

import json
import resource
import select
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from socket import AF_INET, SO_RCVBUF, SOCK_STREAM, SOL_SOCKET, socket
from typing import Final
from urllib.parse import urlsplit

import jwt

from bench.prices.messages import Open

OPEN_SECONDS: Final = 90.0
CONNECT_SECONDS: Final = 5.0
AGAIN_SECONDS: Final = 0.05
"""After an answer that says to come back later: a bound on the rate is to show, not to be waited
out as politely as it asks for.
"""
SPARE_DESCRIPTORS: Final = 100
PORTS_FILE: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
PORTS_OTHERWISE: Final = 28_000
TOKEN_SECONDS: Final = 3_600
HELLO_OBJECTS: Final = 1
"""`hello` is one more object before those of the snapshot."""
READ_BYTES: Final = 64 * 1024


class CannotOpen(Exception):
    """The streams could not be opened; the message says what this machine or the node lacks."""


@dataclass(slots=True)
class Dialed:
    """One stream, open once it has read `objects` whole JSON objects."""

    number: int
    request: bytes
    objects: int
    socket: socket = field(default_factory=lambda: socket(AF_INET, SOCK_STREAM))
    read: bytearray = field(default_factory=bytearray)


class Dialer:
    """Opens the streams of one command, so many under way together."""

    def __init__(self, command: Open) -> None:
        self.refused = 0
        self._command = command
        address = urlsplit(command.url)
        self._address = (address.hostname or "", address.port or 80)
        self._per_source = _ports_per_source()
        self._waiting = deque(
            Dialed(number, self._request(number), HELLO_OBJECTS + len(symbols))
            for number, symbols in enumerate(command.watch_lists)
        )
        self._under_way: dict[int, Dialed] = {}
        self._again: deque[tuple[float, Dialed]] = deque()
        self._open: list[Dialed] = []
        self._poll = select.epoll()

    def dial(self) -> list[Dialed]:
        """Return all streams in the order of their watch lists. Raises `CannotOpen`."""
        count = len(self._command.watch_lists)
        began = time.perf_counter()
        with self._poll:
            while len(self._open) < count:
                if time.perf_counter() - began > OPEN_SECONDS:
                    raise CannotOpen(
                        f"only {len(self._open)} of {count} streams opened in {OPEN_SECONDS:g} s"
                    )
                self._start_some()
                for descriptor, _ in self._poll.poll(AGAIN_SECONDS):
                    self._hear(self._under_way[descriptor])
        return sorted(self._open, key=lambda stream: stream.number)

    def _start_some(self) -> None:
        while self._again and self._again[0][0] <= time.perf_counter():
            self._waiting.appendleft(self._again.popleft()[1])
        while self._waiting and len(self._under_way) < self._command.at_once:
            self._start(self._waiting.popleft())

    def _start(self, stream: Dialed) -> None:
        one = stream.socket
        if stream.number < self._command.slow:
            one.setsockopt(SOL_SOCKET, SO_RCVBUF, 1)  # the kernel makes it the least it allows
        if len(self._command.watch_lists) > self._per_source:
            one.bind((f"127.0.0.{2 + stream.number // self._per_source}", 0))
        one.settimeout(CONNECT_SECONDS)
        try:
            one.connect(self._address)
            one.sendall(stream.request)
        except OSError as error:
            raise CannotOpen(f"stream {stream.number}: {error}") from error
        one.setblocking(False)
        self._under_way[one.fileno()] = stream
        self._poll.register(one.fileno(), select.EPOLLIN)

    def _hear(self, stream: Dialed) -> None:
        try:
            part = stream.socket.recv(READ_BYTES)
        except OSError as error:
            raise CannotOpen(f"stream {stream.number}: {error}") from error
        stream.read += part
        status = bytes(stream.read[9:12])
        if status in (b"503", b"429"):
            self._end(stream)
            stream.socket.close()
            self.refused += 1
            again = Dialed(stream.number, stream.request, stream.objects)
            self._again.append((time.perf_counter() + AGAIN_SECONDS, again))
        elif not part or status not in (b"200", b""):
            raise CannotOpen(f"stream {stream.number} was answered {bytes(stream.read)[:600]!r}")
        elif stream.read.count(b"}") >= stream.objects:
            self._end(stream)
            self._open.append(stream)

    def _end(self, stream: Dialed) -> None:
        self._poll.unregister(stream.socket.fileno())
        del self._under_way[stream.socket.fileno()]

    def _request(self, number: int) -> bytes:
        issued_at = self._command.issued_at
        claims = {
            "sub": f"viewer-{number}",
            "iss": "sherwood",
            "aud": "sherwood",
            "iat": issued_at,
            "exp": issued_at + TOKEN_SECONDS,
        }
        token = jwt.encode(claims, self._command.token_secret, algorithm="HS256")
        body = json.dumps({"symbols": self._command.watch_lists[number]}).encode()
        return (
            b"POST /subscribe HTTP/1.1\r\nHost: %b\r\nAuthorization: Bearer %b\r\n"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n"
            % (urlsplit(self._command.url).netloc.encode(), token.encode(), len(body))
        ) + body


def allow_descriptors(count: int) -> None:
    """Have this process, and those it starts, open `count` sockets. Raises `CannotOpen`."""
    wanted = count + SPARE_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise CannotOpen(f"{wanted} open files are needed, {hard} allowed: raise `ulimit -Hn`")
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _ports_per_source() -> int:
    try:
        first, last = PORTS_FILE.read_text().split()
    except OSError:
        return PORTS_OTHERWISE
    return (int(last) - int(first)) // 2  # some are taken by others
