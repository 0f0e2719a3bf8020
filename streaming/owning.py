"""One term as the owner of the exchange's feed: its epoch, and all that is done under it."""

import asyncio
import random
import time
from collections.abc import Callable
from typing import Final

import msgspec
import structlog

from brokerage.bus.beat import Beat, Trading
from brokerage.bus.connection import Bus, BusUnavailable
from brokerage.bus.market_facts import MarketFacts
from brokerage.bus.streams import ensure_streams
from brokerage.contracts.subjects import FEED_BEAT
from brokerage.storage.bar_writes import Superseded
from exchange.protocol import Hello, TradingStatus
from streaming.bar_writer import BarWriter, OpenBarStore
from streaming.bars import BarBook
from streaming.following import Following
from streaming.forwarding import Forwarder, SettledUnknown
from streaming.publisher import TickPublisher
from streaming.ticks import TickBoard

log = structlog.get_logger()

SILENT_SECONDS: Final = 5.0
"""An owner that sent no beat for this long says that it is not ready."""
STREAM_LOOK_SECONDS: Final = 5.0
"""How often the owner looks whether the executions' stream still has what it acknowledged."""
RESEND_PAUSE_SECONDS: Final = 0.5
"""All symbols are published again at most this often, however many ask."""


class FeedTerm:
    """Made anew with each lease, so that nothing of an earlier term can get into it.

    `owns` says whether the lease is still held; it is asked right before anything is published.
    `epoch_known` is the newest epoch this process has heard of. `run` ends by cancellation only.
    """

    def __init__(
        self,
        exchange_url: str,
        member: str,
        bus: Bus,
        facts: MarketFacts,
        forwarder: Forwarder,
        open_bar_store: OpenBarStore,
        owns: Callable[[], bool],
        epoch_known: int,
    ) -> None:
        self._bus = bus
        self._facts = facts
        self._forwarder = forwarder
        self._owns = owns
        self._epoch_known = epoch_known
        self._board = TickBoard(epoch=0)
        self._publisher = TickPublisher(bus, self._board, owns)
        self._bars = BarBook()
        self._bar_writer = BarWriter(self._bars, open_bar_store)
        self._following = Following(
            exchange_url, member, self._board, self._publisher, self._bars, forwarder, self
        )
        self._directory = b""
        self._directory_changed = asyncio.Event()
        self._bus_came_back = asyncio.Event()
        self._bus_has_all = True
        self._resend_asked = asyncio.Event()
        self._beat_at = float("-inf")
        self._epoch_published = 0
        self.epoch = 0

    @property
    def live(self) -> bool:
        """True while the exchange is heard and told of."""
        return time.monotonic() - self._beat_at < SILENT_SECONDS

    @property
    def heard_seconds_ago(self) -> float:
        """Time since the exchange's last heartbeat."""
        return time.monotonic() - self._following.heard

    async def run(self) -> None:
        """Claim an epoch, then follow the feed for ever."""
        await self._claim_epoch()
        # The exchange's snapshot has every symbol whole, so nothing is restored from ours.
        self._board.start_epoch(self.epoch)
        async with asyncio.TaskGroup() as tasks:
            # Stopped with the rest when the lease is lost, and harmless until then: what an old
            # owner and a new one both store is recognised by its message id or, once the stream
            # forgot that, by the execution's own id where it is settled; and an old report at the
            # stream's end only makes the next owner ask the exchange from further back.
            tasks.create_task(self._forwarder.run())
            tasks.create_task(self._publisher.pace())
            tasks.create_task(self._publisher.repair())
            tasks.create_task(self._keep_directory())
            tasks.create_task(self._mend_bus())
            tasks.create_task(self._watch_stream())
            tasks.create_task(self._resend())
            tasks.create_task(self._write_bars())
            tasks.create_task(self._following.run())

    def bus_came_back(self) -> None:
        """NATS was away: its memory may be gone, and what was sent meanwhile too."""
        self._bus_has_all = False
        self._bus_came_back.set()

    def resend(self, epoch_known: int) -> None:
        """Publish every symbol again soon, under an epoch no older than `epoch_known`."""
        self._epoch_known = max(self._epoch_known, epoch_known)
        self._resend_asked.set()

    # -- what the connection tells -------------------------------------------------------------

    def greeted(self, hello: Hello) -> None:
        """Keep the directory for all processes."""
        self._directory = msgspec.json.encode(
            sorted(
                ({"symbol": one.symbol, "name": one.name} for one in hello.listings),
                key=lambda one: one["symbol"],
            )
        )
        self._directory_changed.set()

    async def counts_anew(self) -> None:
        """Forget all states: what comes now has lower numbers, and a newer epoch."""
        await self._claim_epoch()
        self._board.start_epoch(self.epoch)

    async def alive(self, at_ms: int, trade_seq: int, trading: TradingStatus) -> None:
        """Pass the heartbeat on as the feed's own, if all symbols were published before.

        Readers rely on it: what NATS does not have after a beat never traded.
        """
        if not self._bus_has_all:
            return
        epoch = self.epoch
        if self._epoch_published != epoch and await self._publisher.publish_all():
            self._epoch_published = epoch
        if self._epoch_published != epoch or not (self._bus.connected and self._owns()):
            return
        beat = Beat(at_ms, trade_seq, epoch, _trading_of(trading))
        try:
            await self._bus.publish(FEED_BEAT, msgspec.json.encode(beat))
        except BusUnavailable as error:
            log.warning("beat_not_published", error=str(error))
        else:
            self._beat_at = time.monotonic()

    # -- what runs beside it -------------------------------------------------------------------

    async def _claim_epoch(self) -> None:
        while True:
            try:
                await ensure_streams(self._bus)
                self.epoch = await self._facts.next_epoch(self._epoch_known)
            except BusUnavailable as error:
                log.warning("feed_waits_for_bus", error=str(error))
                await asyncio.sleep(random.uniform(0.3, 0.6))
            else:
                log.info("feed_epoch", epoch=self.epoch)
                return

    async def _keep_directory(self) -> None:
        while True:
            await self._directory_changed.wait()
            self._directory_changed.clear()
            try:
                if await self._facts.put_directory(self._directory):
                    log.info("directory_stored", bytes=len(self._directory))
            except BusUnavailable as error:
                log.warning("directory_not_stored", error=str(error))
                await asyncio.sleep(random.uniform(0.3, 0.6))
                self._directory_changed.set()

    async def _mend_bus(self) -> None:
        while True:
            await self._bus_came_back.wait()
            self._bus_came_back.clear()
            try:
                await ensure_streams(self._bus)
                if not await self._publisher.publish_all():
                    raise BusUnavailable("not every symbol was published")
                self._bus_has_all = not self._bus_came_back.is_set()
                if self._directory:
                    await self._facts.put_directory(self._directory)
                await self._forwarder.check_stream()
            except (BusUnavailable, SettledUnknown) as error:
                log.warning("bus_not_mended", error=str(error))
                await asyncio.sleep(random.uniform(0.3, 0.6))
                self._bus_came_back.set()
            else:
                log.info("bus_mended", symbols=len(self._board))

    async def _watch_stream(self) -> None:
        """A stream can be lost, or emptied on purpose, while the link to NATS stays."""
        while True:
            await asyncio.sleep(STREAM_LOOK_SECONDS * random.uniform(0.8, 1.2))
            try:
                await self._forwarder.check_stream()
            except (BusUnavailable, SettledUnknown) as error:
                log.warning("executions_stream_not_seen", error=str(error))
                self.bus_came_back()

    async def _resend(self) -> None:
        while True:
            await self._resend_asked.wait()
            self._resend_asked.clear()
            if self.epoch < self._epoch_known:
                # The counter was lost and began anew: readers take nothing that is older than
                # what they know. The states stay, the exchange still counts as it did.
                log.error("feed_epoch_behind", epoch=self.epoch, known=self._epoch_known)
                await self._claim_epoch()
                self._board.raise_epoch(self.epoch)
            await self._publisher.publish_all()
            await asyncio.sleep(RESEND_PAUSE_SECONDS)

    async def _write_bars(self) -> None:
        while True:
            try:
                await self._bar_writer.run(self.epoch)
            except Superseded as error:
                # By an owner who took over; or the counter of epochs was lost, and a newer one is
                # needed than the bars know.
                log.warning("bars_superseded", epoch=self.epoch, newer=error.epoch)
                self.resend(error.epoch)
                await asyncio.sleep(RESEND_PAUSE_SECONDS)


def _trading_of(status: TradingStatus) -> Trading:
    return Trading(
        is_open=status.state == "open",
        sessions=status.sessions,
        next_open_ms=status.next_open_ms,
        next_close_ms=status.next_close_ms,
        halted=frozenset(status.halted),
    )
