"""A viewer of live prices that comes back when its stream ends, and records all it hears."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from math import inf
from typing import Final

import httpx

from tests.support.accounts import fetch_token
from tests.support.price_recording import Change, Connection, Recording, StreamEvent

RETURN_SECONDS: Final = 0.2
"""Sooner than a page would, which keeps to the stream's `retry`: tests need not wait."""
READ_SECONDS_MAX: Final = 40.0


class PriceViewer:
    """Holds one stream of `symbols` at a time, on the next of `urls` after each loss.

    With `receive_bytes` its socket takes no more than that ahead of its reading.
    """

    def __init__(
        self,
        name: str,
        urls: Sequence[str],
        token: str,
        symbols: Sequence[str],
        receive_bytes: int | None = None,
    ) -> None:
        self.recording = Recording(name)
        self.symbols = tuple(symbols)
        self.refusals: list[int] = []
        self._urls = urls
        self._token = token
        self._receive_bytes = receive_bytes
        self._reads = asyncio.Event()
        self._reads.set()
        self._paused_at = 0.0

    def pause(self) -> None:
        """Read nothing until `resume`; the stream stays open."""
        self._paused_at = time.monotonic()
        self._reads.clear()

    def resume(self) -> None:
        """Read on."""
        self.recording.pauses.append((self._paused_at, time.monotonic()))
        self._reads.set()

    async def change(self, symbols: Sequence[str], url: str) -> bool:
        """Ask the node at `url` to let the stream show `symbols` until it says yes.

        False if the stream has ended instead.
        """
        stream_id = self.recording.stream_id()
        change = Change(time.monotonic(), inf, tuple(symbols))
        self.recording.connections[-1].changes.append(change)
        async with self._client() as http:
            while True:
                with suppress(httpx.TransportError):
                    body = {"symbols": list(symbols)}
                    answer = await http.patch(f"{url}/subscribe/{stream_id}", json=body)
                    if answer.status_code == 200:
                        change.done_at = time.monotonic()
                        self.symbols = change.symbols
                        return True
                    if answer.status_code == 404:
                        return False
                    assert answer.status_code == 503, answer.text
                await asyncio.sleep(RETURN_SECONDS)

    def _client(self) -> httpx.AsyncClient:
        options = [] if self._receive_bytes is None else [_takes(self._receive_bytes)]
        return httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(verify=False, socket_options=options),
            headers={"Authorization": f"Bearer {self._token}"},
            timeout=READ_SECONDS_MAX,
        )

    async def run(self) -> None:
        """View for ever."""
        async with self._client() as http:
            while True:
                for url in self._urls:
                    with suppress(httpx.TransportError):  # its node was killed, or is away
                        await self._view(http, url)
                    await asyncio.sleep(RETURN_SECONDS)

    async def _view(self, http: httpx.AsyncClient, url: str) -> None:
        body = {"symbols": list(self.symbols)}
        async with http.stream("POST", f"{url}/subscribe", json=body) as response:
            if response.status_code != 200:
                self.refusals.append(response.status_code)
                return
            connection = Connection(self.symbols, time.monotonic())
            self.recording.connections.append(connection)
            try:
                async for event in events_of(response.aiter_bytes()):
                    connection.events.append(event)
                    await self._reads.wait()
            finally:
                connection.closed_at = time.monotonic()


async def events_of(parts: AsyncIterator[bytes]) -> AsyncIterator[StreamEvent]:
    """The events and comments of a stream, each with the time at which it was complete."""
    rest = b""
    async for part in parts:
        *blocks, rest = (rest + part).split(b"\n\n")
        for block in blocks:
            fields = dict(line.partition(": ")[::2] for line in block.decode().split("\n"))
            yield StreamEvent(time.monotonic(), fields.get("event", ""), fields.get("data", ""))


@asynccontextmanager
async def viewing_all(viewers: Sequence[PriceViewer]) -> AsyncIterator[None]:
    """Let `viewers` view as long as the block."""
    async with asyncio.TaskGroup() as tasks:
        runs = [tasks.create_task(viewer.run()) for viewer in viewers]
        try:
            yield
        finally:
            for run in runs:
                run.cancel()


async def price_viewer(
    name: str, urls: Sequence[str], symbols: Sequence[str], receive_bytes: int | None = None
) -> PriceViewer:
    """A viewer who is a user of that name."""
    return PriceViewer(name, urls, await fetch_token(urls[0], name), symbols, receive_bytes)


def _takes(receive_bytes: int) -> tuple[int, int, int]:
    return socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes
