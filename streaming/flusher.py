"""The one writer of a node's price streams: walks the viewers whose symbols changed, in passes.

A pass takes what changed and writes each viewer concerned once. The next begins `FLOOR_SECONDS`
after it at the earliest, or later if the pass took long: under load the passes themselves are what
conflates, and nothing is queued for anybody. A write that would wait is left to a task of its own;
its viewer is passed over until that is through, and told then what it missed.
"""

import asyncio
import time
from collections.abc import Coroutine, Generator, Iterable
from itertools import chain
from types import coroutine
from typing import Any, Final

import msgspec
import structlog

from brokerage.bus.tick import emitted_at
from brokerage.runtime.tasks import TaskSet
from streaming import hub_metrics
from streaming.viewers import Message, State, Topic, Viewer, WatchList, prices_event

log = structlog.get_logger()

FLOOR_SECONDS: Final = 0.005
"""The least time from the beginning of one pass to the next; a first change after quiet goes at
once."""
SHARE: Final = 0.9
"""The part of the processor that passes may take for long: the rest of the process lives too."""
BATCH_SECONDS: Final = 0.005
"""A long pass lets the event loop turn this often."""
ROUND_SECONDS: Final = 1.0
"""How often heartbeats, lifetimes and stalled clients are looked at."""

BODY: Final = "http.response.body"
END: Final[Message] = {"type": BODY, "body": b"", "more_body": False}
COMMENT: Final = b":\n\n"
LIVE: Final = b"event: live\ndata: {}\n\n"
STALE: Final = b"event: stale\ndata: {}\n\n"


class Flusher:
    """Writes to viewers. `changed` and `tell` are called by the hub, and wait for nobody."""

    def __init__(
        self, tasks: TaskSet, *, heartbeat_seconds: float, stalled_seconds_max: float
    ) -> None:
        self._tasks = tasks
        self._heartbeat_seconds = heartbeat_seconds
        self._stalled_seconds_max = stalled_seconds_max
        self.stamp = 0
        self.live = False
        self.lists: dict[frozenset[Topic], WatchList] = {}
        self.viewers: dict[str, Viewer] = {}
        self._changed: set[Topic] = set()
        self._live_changed = False
        self._wake = asyncio.Event()
        self._bytes = 0
        self._writes = 0
        self._counted = 0

    def changed(self, topic: Topic) -> None:
        """A topic has a newer tick: tell whoever watches it."""
        self.stamp += 1
        topic.stamp = self.stamp
        if topic.lists:
            self._changed.add(topic)
            self._wake.set()

    def tell_live(self, live: bool) -> None:
        """Whether prices are live has changed: tell everybody."""
        self.live = live
        self._live_changed = True
        self._wake.set()

    def open(self, viewer: Viewer, head: bytes) -> None:
        """Write a stream's first bytes, all there is up to now; what changes then follows."""
        if viewer.ended:
            self._step(viewer, END)
            return
        viewer.state = State.READING
        viewer.stamp = self.stamp
        viewer.owed = frozenset()
        viewer.told_live = self.live
        opening = head + viewer.watch_list.snapshot()
        self._write(viewer, opening if self.live else opening + STALE)

    def catch_up(self, viewer: Viewer) -> None:
        """Write what a viewer that reads has not been told, if anything."""
        chunk = b""
        if unseen := viewer.unseen():
            chunk = prices_event(unseen)
        viewer.owed = frozenset()
        viewer.stamp = self.stamp
        if viewer.told_live != self.live:
            viewer.told_live = self.live
            chunk += LIVE if self.live else STALE
        if chunk:
            self._write(viewer, chunk)

    def end(self, viewer: Viewer) -> None:
        """End a stream: properly where the client reads, by force where it does not."""
        was, viewer.state = viewer.state, State.ENDED
        if was is State.READING:
            self._step(viewer, END)
        elif was is State.PARKED:
            self._cut(viewer)

    async def run(self) -> None:
        """Pass after pass, until cancelled."""
        while True:
            await self._wake.wait()
            began = time.monotonic()
            self._wake.clear()
            changed, self._changed = self._changed, set()
            await self._pass(changed)
            ended = time.monotonic()
            took = ended - began
            hub_metrics.PASS_SECONDS.observe(took)
            if changed:
                _note_age(next(iter(changed)))
            pause = max(FLOOR_SECONDS - took, took * (1 / SHARE - 1))
            await asyncio.sleep(pause)
            hub_metrics.LATE_SECONDS.observe(max(0.0, time.monotonic() - ended - pause))

    async def keep(self) -> None:
        """Heartbeats, the end of long streams and of stalled ones, until cancelled."""
        while True:
            await asyncio.sleep(ROUND_SECONDS)
            self._count()
            turn = _Turn()
            for viewer in list(self.viewers.values()):
                now = time.monotonic()
                quiet_seconds = now - viewer.written_at
                if viewer.state is State.PARKED:
                    if quiet_seconds > self._stalled_seconds_max:
                        hub_metrics.DROPPED.inc()
                        log.info("stream_dropped", stream_id=viewer.stream_id, cause="stalled")
                        self.end(viewer)
                elif viewer.state is State.READING:
                    if now > viewer.ends_at:
                        self.end(viewer)
                    elif quiet_seconds >= self._heartbeat_seconds:
                        self._write(viewer, COMMENT)
                if turn.is_over(now):
                    await turn.next()

    def _write(self, viewer: Viewer, chunk: bytes) -> None:
        viewer.written_at = time.monotonic()
        self._bytes += len(chunk)
        self._step(viewer, {"type": BODY, "body": chunk, "more_body": True})

    def _step(self, viewer: Viewer, message: Message) -> None:
        """Write, or leave the writing to a task if it would wait."""
        self._writes += 1
        step = viewer.send(message)
        try:
            waited = step.send(None)
        except StopIteration:
            return
        except Exception as error:  # noqa: BLE001 - one broken stream must not end the others
            self._break(viewer, error)
            return
        if viewer.state is State.READING:
            viewer.state = State.PARKED
        viewer.waiting = self._tasks.spawn(self._wait(viewer, step, waited), "viewer-waits")

    async def _wait(self, viewer: Viewer, step: Coroutine[Any, Any, None], waited: Any) -> None:
        try:
            await _resumed(step, waited)
        except Exception as error:  # noqa: BLE001 - as in `_step`
            self._break(viewer, error)
        finally:
            viewer.waiting = None
        if viewer.state is State.PARKED:
            viewer.state = State.READING
            self.catch_up(viewer)

    def _break(self, viewer: Viewer, error: Exception) -> None:
        log.info("stream_broken", stream_id=viewer.stream_id, cause=repr(error))
        viewer.state = State.ENDED
        self._cut(viewer)

    @staticmethod
    def _cut(viewer: Viewer) -> None:
        if viewer.waiting is not None:
            viewer.waiting.cancel()
        if viewer.task is not None:
            viewer.task.cancel()

    async def _pass(self, changed: set[Topic]) -> None:
        turn = _Turn()
        if self._live_changed:
            self._live_changed = False
            await self._tell_live(turn)
            changed |= self._changed
        for watch_list in self._concerned(changed):
            hit = changed & watch_list.topics
            if not hit:
                continue
            told: int | None = None
            message: Message | None = None
            size = 0
            # Some come and go while the loop turns. One that went to another list was told all of
            # it; here it would be told of old symbols, and pass for told of its new ones' changes.
            for viewer in tuple(watch_list.viewers):
                if viewer.state is not State.READING or viewer.watch_list is not watch_list:
                    continue
                if viewer.stamp != told:
                    told = viewer.stamp
                    unseen = [topic for topic in hit if topic.stamp > told]
                    chunk = prices_event(unseen) if unseen else b""
                    size = len(chunk)
                    message = {"type": BODY, "body": chunk, "more_body": True} if chunk else None
                viewer.stamp = self.stamp
                now = time.monotonic()
                if message is not None:
                    viewer.written_at = now
                    self._bytes += size
                    self._step(viewer, message)
                if turn.is_over(now):
                    await turn.next()
                    # What came meanwhile is told to those who are still to be visited; it stays for
                    # the next pass too, where their stamps say that they have it.
                    changed |= self._changed
                    hit = changed & watch_list.topics
                    told = None

    def _count(self) -> None:
        # Once a second, not once a write: a counter takes as long as joining the ticks does.
        hub_metrics.TICKS.inc(self.stamp - self._counted)
        hub_metrics.BYTES.inc(self._bytes)
        hub_metrics.WRITES.inc(self._writes)
        self._counted = self.stamp
        self._bytes = self._writes = 0
        parked = [viewer for viewer in self.viewers.values() if viewer.state is State.PARKED]
        hub_metrics.PARKED.set(len(parked))
        hub_metrics.MISSED.set(sum(len(viewer.unseen()) for viewer in parked))

    def _concerned(self, changed: set[Topic]) -> Iterable[WatchList]:
        """The lists that have any of the topics."""
        if sum(len(topic.lists) for topic in changed) > len(self.lists):
            return tuple(self.lists.values())
        return set(chain.from_iterable(topic.lists for topic in changed))

    async def _tell_live(self, turn: "_Turn") -> None:
        for viewer in list(self.viewers.values()):
            if viewer.told_live != self.live and viewer.state is State.READING:
                self.catch_up(viewer)
            if turn.is_over(time.monotonic()):
                await turn.next()


def _note_age(topic: Topic) -> None:
    try:
        age_seconds = time.time() - emitted_at(topic.fragment)
    except msgspec.DecodeError as error:
        # A measurement must not end the writing: without it nobody would be told anything more.
        log.warning("tick_without_time", symbol=topic.symbol, error=str(error))
        return
    hub_metrics.AGE_SECONDS.observe(max(0.0, age_seconds))


class _Turn:
    """Says when the event loop must be let go."""

    __slots__ = ("_ends_at",)

    def __init__(self) -> None:
        self._ends_at = time.monotonic() + BATCH_SECONDS

    def is_over(self, now: float) -> bool:
        return now >= self._ends_at

    async def next(self) -> None:
        await asyncio.sleep(0)
        self._ends_at = time.monotonic() + BATCH_SECONDS


@coroutine
def _resumed(step: Coroutine[Any, Any, None], waited: Any) -> Generator[Any, Any, None]:
    """Go on with a coroutine that was stepped by hand and now waits for `waited`.

    A task that awaits this waits for the same, and then takes the coroutine's further steps.
    """
    try:
        while True:
            try:
                sent = yield waited
            except BaseException as error:  # noqa: BLE001 - the coroutine is told, as `await` would
                waited = step.throw(error)
            else:
                waited = step.send(sent)
    except StopIteration:
        return
