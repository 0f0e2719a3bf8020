"""From the book to Postgres, once a second, by the owner of the feed alone."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Final

import structlog

from brokerage.runtime.backoff import Backoff
from brokerage.storage.bar_writes import BarStore, Superseded
from brokerage.storage.pool import DatabaseUnavailable
from streaming import bar_metrics
from streaming.bars import BarBook

log = structlog.get_logger()

OpenBarStore = Callable[[], AbstractAsyncContextManager[BarStore]]
"""Waits for Postgres; raises `DatabaseUnavailable` where it says no."""

WRITE_EVERY_SECONDS: Final = 1.0
LAST_WRITE_SECONDS: Final = 0.5
"""A feed that is stopped stores its last second, unless that would keep the next one waiting."""
AGAIN: Final = Backoff(0.2, 3.0)


class BarWriter:
    """Stores what changes in the book. Each write is one transaction with the last trade in it,
    so that a new owner of the feed knows exactly which trades the bars lack.
    """

    def __init__(
        self,
        book: BarBook,
        open_store: OpenBarStore,
        write_every_seconds: float = WRITE_EVERY_SECONDS,
    ) -> None:
        self._book = book
        self._open_store = open_store
        self._write_every_seconds = write_every_seconds

    async def run(self, epoch: int) -> None:
        """Write until cancelled; whatever happens to Postgres is waited out.

        Raises `Superseded` once a newer epoch writes the bars. The book refuses when this ends.
        """
        bar_metrics.WAITING.set_function(self._book.rows_waiting)
        bar_metrics.LAG.set_function(self._book.lag_seconds)
        failures = 0
        try:
            while True:
                try:
                    async with self._open_store() as store:
                        await self._use(store, epoch)
                except DatabaseUnavailable as error:
                    failures += 1
                    await self._wait_out(error, failures)
        finally:
            self._book.refuse()
            # Who is not the owner is not behind.
            bar_metrics.LAG.set_function(lambda: 0.0)

    async def _use(self, store: BarStore, epoch: int) -> None:
        failures = 0
        try:
            while True:
                try:
                    if self._book.refusing:
                        await self._resume(store, epoch)
                    await self._write(store, epoch)
                except DatabaseUnavailable as error:
                    failures += 1
                    await self._wait_out(error, failures)
                else:
                    failures = 0
                    await asyncio.sleep(self._write_every_seconds)
        except asyncio.CancelledError:
            await self._write_last(store, epoch)
            raise

    async def _wait_out(self, error: DatabaseUnavailable, failures: int) -> None:
        bar_metrics.FAILED.inc()
        log.warning("bars_not_written", cause=str(error), failures=failures)
        await asyncio.sleep(AGAIN.pause_seconds(failures))

    async def _write_last(self, store: BarStore, epoch: int) -> None:
        try:
            async with asyncio.timeout(LAST_WRITE_SECONDS):
                await self._write(store, epoch)
        except (DatabaseUnavailable, Superseded, TimeoutError) as error:
            log.warning("last_bars_not_written", cause=repr(error))

    async def _resume(self, store: BarStore, epoch: int) -> None:
        progress = await store.claim(epoch)
        self._book.resume(
            progress, {} if progress is None else await store.open_bars(progress.traded_at_ms)
        )

    async def _write(self, store: BarStore, epoch: int) -> None:
        batch = self._book.take_batch()
        if batch is None:
            return
        began = time.monotonic()
        try:
            await store.write(epoch, batch.progress, batch.bars)
        except BaseException:
            # Cancelled, or nobody knows: absolute values may be written twice.
            self._book.put_back(batch)
            raise
        self._book.note_written(batch)
        bar_metrics.WRITE_SECONDS.observe(time.monotonic() - began)
        bar_metrics.WRITTEN.inc(len(batch))
