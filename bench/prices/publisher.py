"""`python -m bench.prices.publisher`: stands in for the feed, at a steady rate.

Reads a `PublisherSpec`, then `Publish` after `Publish`, from standard input; answers each on
standard output. It makes the streams, stores the directory, publishes every symbol once, and beats.
"""

import asyncio
import sys
import time
from typing import Final

import msgspec
import uvloop

from bench.prices.messages import Publish, Published, PublisherSpec
from brokerage.bus.beat import Beat, Trading
from brokerage.bus.connection import Bus, open_bus
from brokerage.bus.market_facts import MarketFacts
from brokerage.bus.streams import ensure_streams
from brokerage.bus.tick import Tick, utc_text, version
from brokerage.contracts.subjects import FEED_BEAT, price_subject
from brokerage.runtime.logs import configure_logs
from brokerage.runtime.settings import Settings

STEP_SECONDS: Final = 0.001
"""Ticks that became due meanwhile leave together: that is all the burst there is."""
BEAT_SECONDS: Final = 1.0
EPOCH: Final = 1
TRADING: Final = Trading(
    is_open=True, sessions="off", next_open_ms=None, next_close_ms=None, halted=frozenset()
)
LINE_BYTES_MAX: Final = 2**20


class Publisher:
    """Publishes the symbols in turn, evenly; `v` is when each tick left, in microseconds."""

    def __init__(self, spec: PublisherSpec, bus: Bus) -> None:
        self._symbols = spec.symbols
        self._subjects = [price_subject(symbol) for symbol in spec.symbols]
        self._versions = [0] * len(spec.symbols)
        self._base_us = spec.base_us
        self._bus = bus
        self._rate = 0.0
        self._next = 0
        self._began = time.monotonic()
        self._ticks = 0
        self._late_seconds_max = 0.0

    async def publish_all(self) -> None:
        """Publish every symbol once."""
        for _ in self._symbols:
            await self._publish_next(utc_text(time.time_ns() // 1_000_000))

    async def run(self) -> None:
        """Publish what is due, for ever."""
        while True:
            await asyncio.sleep(STEP_SECONDS)
            if not self._rate:
                continue
            elapsed = time.monotonic() - self._began
            due = int(elapsed * self._rate) - self._ticks
            self._late_seconds_max = max(self._late_seconds_max, due / self._rate)
            at = utc_text(time.time_ns() // 1_000_000)
            for _ in range(due):
                await self._publish_next(at)
            self._ticks += max(0, due)

    def change(self, rate: float) -> Published:
        """Go on at another rate; return what came of the last."""
        now = time.monotonic()
        done = Published(
            self._ticks, now - self._began, self._late_seconds_max * 1000, list(self._versions)
        )
        self._rate, self._began, self._ticks, self._late_seconds_max = rate, now, 0, 0.0
        return done

    async def beat(self) -> None:
        """Say once a second that the feed is live, for ever."""
        while True:
            beat = Beat(time.time_ns() // 1_000_000, self._sequence(), EPOCH, TRADING)
            await self._bus.publish(FEED_BEAT, msgspec.json.encode(beat))
            await asyncio.sleep(BEAT_SECONDS)

    async def _publish_next(self, at: str) -> None:
        number = self._next
        self._next = (number + 1) % len(self._symbols)
        sequence = self._sequence()
        v = self._versions[number] = version(EPOCH, sequence)
        cents = 10_000 + sequence % 5_000
        tick = Tick(self._symbols[number], cents, 12_500, 15_000, 10_000, 1_000_000, at, v)
        await self._bus.publish(self._subjects[number], msgspec.json.encode(tick))

    def _sequence(self) -> int:
        return time.monotonic_ns() // 1000 - self._base_us


async def serve() -> None:
    """Do as told until standard input ends."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(LINE_BYTES_MAX)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    spec = msgspec.json.decode(await reader.readline(), type=PublisherSpec)
    async with open_bus(spec.nats_url, "bench-publisher") as bus:
        await ensure_streams(bus)
        names = [{"symbol": symbol, "name": f"Company {symbol}"} for symbol in spec.symbols]
        await MarketFacts(bus).put_directory(msgspec.json.encode(names))
        publisher = Publisher(spec, bus)
        await publisher.publish_all()
        await bus.flush()
        async with asyncio.TaskGroup() as tasks:
            for_ever = [tasks.create_task(publisher.beat()), tasks.create_task(publisher.run())]
            while line := await reader.readline():
                wanted = msgspec.json.decode(line, type=Publish)
                done = publisher.change(wanted.ticks_per_second)
                sys.stdout.buffer.write(msgspec.json.encode(done) + b"\n")
                sys.stdout.buffer.flush()
            for task in for_ever:
                task.cancel()


if __name__ == "__main__":
    configure_logs(Settings(), "bench-publisher")
    uvloop.run(serve())
