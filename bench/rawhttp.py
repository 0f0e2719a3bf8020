"""The least HTTP/1.1 that a load generator needs: its own processor time must not be the result.

No redirects, no chunks, no compression: Sherwood's order routes answer with a content length.
"""

import asyncio
import time
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit


class BadAnswer(Exception):
    """The server answered with something this client does not read, or hung up."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and body of one answer."""

    status: int
    body: bytes


class Connection:
    """One connection that is kept; one request at a time."""

    def __init__(
        self, host: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._host = host.encode()
        self._reader = reader
        self._writer = writer
        self._used_at = time.monotonic()

    @property
    def idle_seconds(self) -> float:
        """How long ago the last answer came; a server closes what is idle for long."""
        return time.monotonic() - self._used_at

    @classmethod
    async def open(cls, url: str) -> Self:
        """Connect to the server of `url`. Raises OSError."""
        parts = urlsplit(url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        return cls(parts.netloc, reader, writer)

    async def post(self, path: str, head: bytes, body: bytes) -> Answer:
        """Send a JSON body with the header lines of `head`. Raises `BadAnswer` or OSError."""
        head = b"Content-Type: application/json\r\nContent-Length: %d\r\n%s" % (len(body), head)
        return await self._ask(b"POST", path, head, body)

    async def delete(self, path: str, head: bytes) -> Answer:
        """Ask without a body. Raises `BadAnswer` or OSError."""
        return await self._ask(b"DELETE", path, head, b"")

    async def _ask(self, method: bytes, path: str, head: bytes, body: bytes) -> Answer:
        self._writer.write(
            b"%s %s HTTP/1.1\r\nHost: %s\r\n%s\r\n%s"
            % (method, path.encode(), self._host, head, body)
        )
        try:
            answer = await self._reader.readuntil(b"\r\n\r\n")
            length = _content_length(answer)
            content = await self._reader.readexactly(length) if length else b""
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            raise BadAnswer(repr(error)) from error
        self._used_at = time.monotonic()
        return Answer(int(answer[9:12]), content)

    def close(self) -> None:
        """Hang up."""
        self._writer.close()


def _content_length(head: bytes) -> int:
    lower = head.lower()
    start = lower.find(b"\r\ncontent-length:")
    if start < 0:
        raise BadAnswer("no content length")
    end = lower.index(b"\r\n", start + 2)
    return int(lower[start + 17 : end])
