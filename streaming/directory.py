"""The symbols that are traded, as this process knows them."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Final

import msgspec
import structlog

from brokerage.bus.connection import Bus, BusUnavailable
from brokerage.bus.market_facts import MarketFacts
from brokerage.runtime.backoff import Backoff
from brokerage.runtime.tasks import TaskSet

log = structlog.get_logger()

AGAIN: Final = Backoff(0.25, 2.0)


class _Entry(msgspec.Struct):
    symbol: str
    name: str


_decode = msgspec.json.Decoder(list[_Entry]).decode


class Directory:
    """Names by symbol, from memory. Empty until the feed has told it once (`ready`)."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._symbols: list[str] = []
        self._loaded = asyncio.Event()

    @property
    def ready(self) -> bool:
        """True once loaded."""
        return self._loaded.is_set()

    @property
    def symbols(self) -> list[str]:
        """All symbols, sorted."""
        return self._symbols

    def name_of(self, symbol: str) -> str | None:
        """The name of the company or fund; None for what is not traded."""
        return self._names.get(symbol)

    def unknown(self, symbols: Iterable[str]) -> list[str]:
        """Those of `symbols` that are not traded."""
        names = self._names
        return [symbol for symbol in symbols if symbol not in names]

    async def wait(self) -> None:
        """Return once loaded."""
        await self._loaded.wait()

    def load(self, payload: bytes) -> None:
        """Replace all entries; raises `msgspec.DecodeError` for what is not a directory."""
        entries = _decode(payload)
        self._names = {entry.symbol: entry.name for entry in entries}
        self._symbols = sorted(self._names)
        self._loaded.set()


@asynccontextmanager
async def open_directory(bus: Bus) -> AsyncIterator[Directory]:
    """A directory that follows what the feed stores, as long as the block; it may load later."""
    directory = Directory()
    facts = MarketFacts(bus)

    async def hear(payload: bytes) -> None:
        try:
            directory.load(payload)
        except msgspec.DecodeError as error:
            log.warning("directory_unreadable", error=str(error))

    async def read() -> None:
        failures = 0
        while True:
            try:
                payload = await facts.directory()
            except BusUnavailable as error:
                log.debug("directory_not_read", error=str(error))
                payload = None
            if payload is not None:
                await hear(payload)
                return
            if directory.ready and not bus.connected:
                return  # read again at the next reconnection
            failures += 1
            await asyncio.sleep(AGAIN.pause_seconds(failures))

    async with TaskSet() as tasks:

        async def reread() -> None:
            tasks.spawn(read(), "directory")

        watch = await facts.watch_directory(hear)
        bus.on_reconnect(reread)
        await reread()
        try:
            yield directory
        finally:
            await watch.close()
