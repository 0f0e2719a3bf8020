"""What waits for one viewer: the newest tick of each symbol, never a queue."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

FRAME_SECONDS: Final = 0.05
"""The least time between two frames of one viewer; the first change after quiet goes at once."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One event for a viewer; `data` is JSON, of `prices` an array of ticks."""

    kind: Literal["prices", "stale", "live"]
    data: bytes


class Mailbox:
    """One slot a symbol: a newer tick replaces the older, whether or not it was ever seen.

    Iterating gives frames until the mailbox is closed. The first has all of `first`. Its size
    never passes the number of the viewer's symbols, however slow the viewer is.
    """

    def __init__(self, first: Mapping[str, bytes], live: bool) -> None:
        self._slots = dict(first)
        self._live = live
        self._told_live = True
        self._changed = asyncio.Event()
        self._changed.set()
        self._closed = False
        self._free_at = 0.0

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def closed(self) -> bool:
        """True after `close`."""
        return self._closed

    def put(self, symbol: str, fragment: bytes) -> None:
        """Replace what waits for `symbol`."""
        self._slots[symbol] = fragment
        self._changed.set()

    def set_live(self, live: bool) -> None:
        """Note whether the feed is live; the viewer is told what differs from what it knows."""
        self._live = live
        self._changed.set()

    def close(self) -> None:
        """End the iteration."""
        self._closed = True
        self._changed.set()

    def __aiter__(self) -> "Mailbox":
        return self

    async def __anext__(self) -> Frame:
        """The next frame. May be cancelled while it waits: nothing is lost."""
        while not self._closed:
            if not self._slots and self._told_live == self._live:
                self._changed.clear()
                await self._changed.wait()
            elif (pause := self._free_at - time.monotonic()) > 0:
                await asyncio.sleep(pause)
            else:
                return self._take()
        raise StopAsyncIteration

    def _take(self) -> Frame:
        if self._slots:
            frame = Frame("prices", b"[" + b",".join(self._slots.values()) + b"]")
            self._slots.clear()
            self._free_at = time.monotonic() + FRAME_SECONDS
            return frame
        self._told_live = self._live
        return Frame("live" if self._live else "stale", b"{}")
