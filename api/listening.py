"""The socket that clients come to, and what the kernel may keep for each of them.

A viewer that stops reading must not be owed minutes of old prices when it goes on: what the kernel
and the server keep unsent is bounded here, the rest is conflated by the hub.
"""

import asyncio
import socket
import sys
from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

BACKLOG: Final = 4096
"""When a node ends, all its viewers come to the others at once."""
UNSENT_BYTES_MAX: Final = 16 * 1024
"""In the kernel, for one connection, before a write waits."""
BUFFERED_BYTES_MAX: Final = 16 * 1024
"""In this process, likewise."""
LOOK_SECONDS: Final = 1.0
"""A client that takes nothing between two looks at the end of the process is not waited for."""
IDLE_SECONDS: Final = 30
PROBE_SECONDS: Final = 10
PROBES_MAX: Final = 3
USER_TIMEOUT_MS: Final = 30_000
"""A peer that acknowledges nothing for this long is gone: the kernel's own limit is a quarter of an
hour."""


class Protocol(HttpToolsProtocol):
    """uvicorn's own, whose connections keep less: 64 KiB is a minute of some viewer's prices."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin a connection."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=BUFFERED_BYTES_MAX)

    def shutdown(self) -> None:
        """End the connection when its request is through, at once where its client takes nothing:
        what is unsent would be waited for.
        """
        super().shutdown()
        self.loop.call_later(LOOK_SECONDS, self._look, sys.maxsize)

    def _look(self, unsent_bytes_before: int) -> None:
        unsent_bytes = self.transport.get_write_buffer_size()
        if unsent_bytes >= unsent_bytes_before:
            self.transport.abort()
        elif unsent_bytes or not self.transport.is_closing():
            self.loop.call_later(LOOK_SECONDS, self._look, unsent_bytes or sys.maxsize)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; each connection takes over its options. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named: only then asyncio switches off Nagle's delay for its connections.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if sys.platform == "linux":
            for option, value in (
                (socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES_MAX),
                (socket.TCP_KEEPIDLE, IDLE_SECONDS),
                (socket.TCP_KEEPINTVL, PROBE_SECONDS),
                (socket.TCP_KEEPCNT, PROBES_MAX),
                (socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS),
            ):
                listener.setsockopt(socket.IPPROTO_TCP, option, value)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener
