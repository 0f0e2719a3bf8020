"""Is it ready? One function a kind of server; each is asked again and again, and never raises."""

import asyncio
import struct
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

Probe = Callable[[], Awaitable[bool]]

PROBE_TIMEOUT_SECONDS = 2.0

POSTGRES_PROTOCOL_3 = 196_608


async def fetch(url: str) -> tuple[int, bytes]:
    """Return status (0: not HTTP) and body of `GET url`. Raises OSError, TimeoutError, ValueError.

    By hand, since a client object a probe, ten times a second and process, is felt at start-up.
    """
    parts = urlsplit(url)
    target = f"{parts.path}?{parts.query}" if parts.query else parts.path or "/"
    # 1.0, so that the body comes whole and its end is the end of the connection.
    request = f"GET {target} HTTP/1.0\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n"
    async with asyncio.timeout(PROBE_TIMEOUT_SECONDS):
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 80)
        try:
            writer.write(request.encode())
            answer = await reader.read(-1)
        finally:
            writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split(maxsplit=2)[1]) if head.startswith(b"HTTP/") else 0, body


def http(url: str) -> Probe:
    """Ready when `GET url` answers 200."""

    async def probe() -> bool:
        try:
            return (await fetch(url))[0] == 200
        except (OSError, TimeoutError, ValueError, IndexError):
            return False

    return probe


def health(base_url: str) -> Probe:
    """Ready when the process is alive and ready by its own word."""
    live, ready = http(f"{base_url}/livez"), http(f"{base_url}/readyz")

    async def probe() -> bool:
        return await live() and await ready()

    return probe


def tcp(host: str, port: int) -> Probe:
    """Ready when a connection is accepted."""

    async def probe() -> bool:
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_SECONDS):
                _, writer = await asyncio.open_connection(host, port)
        except (OSError, TimeoutError):
            return False
        writer.close()
        return True

    return probe


def tcp_of(url: str, default_port: int) -> Probe:
    """Ready when the server that `url` (or `host:port`) names accepts a connection."""
    parts = urlsplit(url if "//" in url else f"//{url}")
    return tcp(parts.hostname or "127.0.0.1", parts.port or default_port)


def postgres(host: str, port: int) -> Probe:
    """Ready when Postgres asks who we are; while it starts or recovers it answers with an error."""
    fields = b"user\0sherwood\0database\0sherwood\0\0"
    startup = struct.pack("!ii", 8 + len(fields), POSTGRES_PROTOCOL_3) + fields

    async def probe() -> bool:
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_SECONDS):
                reader, writer = await asyncio.open_connection(host, port)
                try:
                    writer.write(startup)
                    return await reader.readexactly(1) == b"R"
                finally:
                    writer.close()
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            return False

    return probe
