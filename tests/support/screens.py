"""A flusher with viewers that are read by hand: no sockets, no bus."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from brokerage.runtime.tasks import TaskSet
from streaming.flusher import Flusher
from streaming.viewers import Message, Topic, Viewer, WatchList


class Screen:
    """What one viewer was shown. While `shut`, a write waits as it does for a full socket."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Any]] = []
        self.bodies: list[bytes] = []
        self.comments = 0
        self.ended = False
        self.cancelled = False
        self._open = asyncio.Event()
        self._open.set()

    def shut(self) -> None:
        """Stop reading."""
        self._open.clear()

    def read(self) -> None:
        """Read again."""
        self._open.set()

    def versions(self, symbol: str) -> list[int]:
        """The versions of `symbol` that were shown, in order."""
        return [
            tick["v"]
            for kind, ticks in self.events
            if kind == "prices"
            for tick in ticks
            if tick["symbol"] == symbol and tick["v"] is not None
        ]

    def kinds(self) -> list[str]:
        """The names of the events."""
        return [kind for kind, _ in self.events]

    async def send(self, message: Message) -> None:
        """Take what the flusher writes: an ASGI `send`."""
        if not self._open.is_set():
            await self._open.wait()
        body = message["body"]
        assert isinstance(body, bytes)
        self.bodies.append(body)
        if not message["more_body"]:
            self.ended = True
        for block in body.decode().split("\n\n")[:-1]:
            if block.startswith(":"):
                self.comments += 1
            else:
                fields = dict(line.split(": ", 1) for line in block.split("\n"))
                self.events.append((fields["event"], json.loads(fields["data"])))


class Room:
    """Topics, viewers and their flusher; ticks are given by hand."""

    def __init__(self, flusher: Flusher, symbols: Sequence[str]) -> None:
        self.flusher = flusher
        self.topics = {symbol: Topic(symbol) for symbol in symbols}
        self.screens: dict[str, Screen] = {}
        self._v = 0

    def tick(self, symbol: str, at: str = "2026-09-21T14:13:20.123Z") -> int:
        """A newer tick of `symbol`; returns its version."""
        self._v += 1
        fragment = b'{"symbol":"%b","at":"' + at.encode() + b'","v":%d}'
        topic = self.topics[symbol]
        assert topic.take(fragment % (symbol.encode(), self._v), v_min=0)
        self.flusher.changed(topic)
        return self._v

    def view(self, *symbols: str, name: str = "", ends_at: float = 1e12) -> tuple[Viewer, Screen]:
        """A viewer of `symbols`, which has its snapshot."""
        topics = [self.topics[symbol] for symbol in symbols]
        watch_list = self.flusher.lists.setdefault(frozenset(topics), WatchList(topics))
        viewer = Viewer(name or f"s{len(self.screens)}", "alice", watch_list, ends_at)
        for topic in topics:
            topic.lists.add(watch_list)
        watch_list.viewers.add(viewer)
        screen = Screen()
        viewer.send = screen.send
        self.flusher.viewers[viewer.stream_id] = viewer
        self.screens[viewer.stream_id] = screen
        self.flusher.open(viewer, b"")
        return viewer, screen


@asynccontextmanager
async def room(
    *symbols: str, heartbeat_seconds: float = 60.0, stalled_seconds_max: float = 60.0
) -> AsyncIterator[Room]:
    """A flusher at work as long as the block; prices are live."""
    async with TaskSet() as tasks:
        flusher = Flusher(
            tasks, heartbeat_seconds=heartbeat_seconds, stalled_seconds_max=stalled_seconds_max
        )
        flusher.tell_live(True)
        tasks.spawn(flusher.run(), "flush")
        tasks.spawn(flusher.keep(), "keep")
        yield Room(flusher, symbols)
