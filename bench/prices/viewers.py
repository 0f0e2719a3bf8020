"""`python -m bench.prices.viewers`: the load client, thousands of streams in one process.

Reads commands from standard input and answers each on standard output, as JSON lines. Between and
during commands it reads whatever comes: epoll, plain sockets, one buffer, and a count of the byte
that ends each tick, so that its own processor time is not the result.
"""

import random
import select
import sys
import time
from collections.abc import Iterator
from socket import socket
from typing import Final

import msgspec

from bench.prices.dialing import CannotOpen, Dialed, Dialer, allow_descriptors
from bench.prices.messages import (
    Check,
    Checked,
    Command,
    Failed,
    Open,
    Opened,
    Resume,
    Resumed,
    Watch,
    Watched,
)
from bench.prices.wire import Recording, ages_ms, emission_ages_ms, stale

BUFFER_BYTES: Final = 256 * 1024
TICK_END: Final = ord("}")
"""Every tick has exactly one of these, and nothing else of a `prices` event has any: counting it
needs no care for ticks that are cut between two reads.
"""
EVENTS_MAX: Final = 4_096
FAULTS_TOLD: Final = 20


class Ages:
    """How old what is read is, of a part of the reads drawn by chance."""

    def __init__(self, sampled: float, base_us: int | None) -> None:
        self.ms: list[float] = []
        self._gap_max = 2 * round(1 / sampled) - 1
        self._base_us = base_us

    def gap(self) -> int:
        """Draw after how many reads the next is taken; a fixed step could keep the server's."""
        return random.randint(1, self._gap_max)

    def take(self, part: bytes) -> None:
        """Note the ages of what was just read."""
        if self._base_us is None:
            self.ms += emission_ages_ms(part, time.time())
        else:
            self.ms += ages_ms(part, time.monotonic_ns() // 1000 - self._base_us)


class Viewers:
    """Every stream of the load client."""

    def __init__(self) -> None:
        self._poll = select.epoll()
        self._poll.register(sys.stdin.fileno(), select.EPOLLIN)
        self._sockets: dict[int, socket] = {}
        self._slow: dict[int, bytearray] = {}
        self._stalled: set[int] = set()
        self._recorded: dict[int, bytearray] = {}
        self._watch_lists: dict[int, list[str]] = {}

    def answer(self, command: Command) -> msgspec.Struct:
        """Do as told. Raises `CannotOpen`."""
        match command:
            case Open():
                return self._open(command)
            case Watch():
                return self._watch(command)
            case Resume():
                return self._resume(command)
            case Check():
                return self._check(command)

    def idle(self) -> None:
        """Read what comes until there is a command."""
        self._read(None)

    def _open(self, command: Open) -> Opened:
        allow_descriptors(len(command.watch_lists))
        dialer = Dialer(command)
        began, before = time.perf_counter(), time.process_time()
        streams = dialer.dial()
        opened = Opened(time.perf_counter() - began, time.process_time() - before, dialer.refused)
        for stream in streams:
            self._add(stream, command)
        return opened

    def _add(self, stream: Dialed, command: Open) -> None:
        number = stream.number
        descriptor = stream.socket.fileno()
        self._sockets[descriptor] = stream.socket
        self._watch_lists[descriptor] = command.watch_lists[number]
        if number < command.slow:
            self._slow[descriptor] = bytearray()
        elif number >= len(command.watch_lists) - command.recorded:
            self._recorded[descriptor] = bytearray(stream.read)
        self._poll.register(descriptor, select.EPOLLIN)

    def _watch(self, command: Watch) -> Watched:
        if command.stall:
            for descriptor in self._slow.keys() - self._stalled:
                self._poll.unregister(descriptor)
                self._stalled.add(descriptor)
        before = time.process_time()
        watched = self._read(command.seconds, Ages(command.sampled, command.base_us))
        watched.cpu_seconds = time.process_time() - before
        return watched

    def _resume(self, command: Resume) -> Resumed:
        for descriptor, kept in self._slow.items():
            kept.clear()
            self._poll.register(descriptor, select.EPOLLIN)
        self._stalled.clear()
        since_us = time.monotonic_ns() // 1000 - command.base_us
        self._read(command.seconds)
        found = [stale(bytes(kept), since_us) for kept in self._slow.values()]
        return Resumed([size for _, size in found], [count for count, _ in found])

    def _check(self, command: Check) -> Checked:
        checked = Checked(len(self._recorded), 0, [])
        for descriptor, stream in self._recorded.items():
            recording = Recording(self._watch_lists[descriptor])
            recording.read(bytes(stream))
            recording.compare(command.versions)
            checked.updates += recording.updates
            checked.faults += recording.faults
        del checked.faults[FAULTS_TOLD:]
        return checked

    def _read(self, seconds: float | None, ages: Ages | None = None) -> Watched:
        """Read for `seconds`, or, with None, until there is a command."""
        sockets, slow, recorded = self._sockets, self._slow, self._recorded
        buffer = bytearray(BUFFER_BYTES)
        updates = size = reads = lost = 0
        until_sampled = ages.gap() if ages else 0
        began = time.monotonic()
        for descriptor in self._ready(None if seconds is None else began + seconds):
            try:
                length = sockets[descriptor].recv_into(buffer)
            except OSError:
                length = 0
            if not length:
                self._lose(descriptor)
                lost += 1
                continue
            if descriptor in slow:
                slow[descriptor] += buffer[:length]
                continue
            updates += buffer.count(TICK_END, 0, length)
            size += length
            reads += 1
            if descriptor in recorded:
                recorded[descriptor] += buffer[:length]
            until_sampled -= 1
            if until_sampled == 0 and ages:
                ages.take(bytes(buffer[:length]))
                until_sampled = ages.gap()
        taken = ages.ms if ages else []
        return Watched(time.monotonic() - began, updates, size, reads, taken, 0.0, lost)

    def _ready(self, end: float | None) -> Iterator[int]:
        """Yield sockets that have something to read, until `end` or, with None, a command."""
        commands = sys.stdin.fileno()
        while True:
            patience = None if end is None else end - time.monotonic()
            if patience is not None and patience <= 0:
                return
            asked = False
            for descriptor, _ in self._poll.poll(patience, EVENTS_MAX):
                if descriptor == commands:
                    asked = True
                else:
                    yield descriptor
            if asked and end is None:
                return

    def _lose(self, descriptor: int) -> None:
        self._poll.unregister(descriptor)
        self._sockets.pop(descriptor).close()
        self._slow.pop(descriptor, None)


def main() -> None:
    """Do as told until standard input ends."""
    viewers = Viewers()
    while True:
        viewers.idle()
        line = sys.stdin.buffer.readline()
        if not line:
            return
        try:
            reply = viewers.answer(msgspec.json.decode(line, type=Command))
        except CannotOpen as error:
            reply = Failed(str(error))
        sys.stdout.buffer.write(msgspec.json.encode(reply) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
