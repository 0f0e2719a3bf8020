"""The symbols a node follows: one subscription each, whatever the number of viewers."""

import asyncio
import random
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Final

import structlog

from brokerage.bus.connection import Bus, BusUnavailable
from brokerage.bus.last_price import LastPrices
from brokerage.contracts.subjects import price_subject
from brokerage.runtime.tasks import TaskSet
from streaming import hub_metrics
from streaming.pulse import Pulse
from streaming.viewers import Topic

log = structlog.get_logger()

CONFIRM_SECONDS: Final = 0.5
"""The server stores a tick a little after it hands it out: one that was neither in the snapshot
nor after the subscription is found by reading once more after this time."""


class Topics:
    """Followed from the first who wants a symbol until a while after the last.

    `on_change` is called with each topic that has a newer tick.
    """

    def __init__(
        self,
        bus: Bus,
        last_prices: LastPrices,
        tasks: TaskSet,
        pulse: Pulse,
        linger_seconds: float,
        on_change: Callable[[Topic], None],
    ) -> None:
        self._bus = bus
        self._last_prices = last_prices
        self._tasks = tasks
        self._pulse = pulse
        self._linger_seconds = linger_seconds
        self._on_change = on_change
        self._topics: dict[str, Topic] = {}
        self._opening = asyncio.Lock()
        self._wanted: set[str] = set()

    @property
    def symbols(self) -> set[str]:
        """The symbols that are followed now."""
        return set(self._topics)

    def start(self) -> None:
        """Read all symbols anew whenever NATS was away."""
        self._bus.on_reconnect(self._reread_later)

    async def follow(self, symbols: Sequence[str]) -> list[Topic]:
        """The topics of `symbols`, each of which has its last tick by now.

        Raises `BusUnavailable` if one is not followed yet and NATS does not answer, or does not
        have its last price back.
        """
        while missing := [symbol for symbol in symbols if symbol not in self._topics]:
            await self._open(missing)
        return [self._topics[symbol] for symbol in symbols]

    def keep(self, topic: Topic) -> None:
        """Somebody watches the topic."""
        if topic.linger is not None:
            topic.linger.cancel()
            topic.linger = None

    def let_linger(self, topic: Topic) -> None:
        """Drop the topic after a while, if nobody watches it."""
        if topic.lists or topic.linger is not None or self._topics.get(topic.symbol) != topic:
            return
        loop = asyncio.get_running_loop()
        topic.linger = loop.call_later(self._linger_seconds, self._drop, topic)

    def _hear(self, topic: Topic, fragment: bytes) -> None:
        if topic.take(fragment, self._pulse.v_min):
            self._on_change(topic)

    async def _open(self, symbols: Sequence[str]) -> None:
        self._wanted.update(symbols)
        # One at a time: two viewers that want the same new symbol must not both subscribe. Whoever
        # has the turn opens what all the others wait for: one question instead of a crowd's.
        async with self._opening:
            self._wanted.update(symbols)
            topics = [Topic(symbol) for symbol in self._wanted if symbol not in self._topics]
            self._wanted.clear()
            if topics:
                await self._open_together(topics)
        if lost := [symbol for symbol in symbols if symbol not in self._topics]:
            raise BusUnavailable(f"the last price of {lost[0]} is not back yet")

    async def _open_together(self, topics: list[Topic]) -> None:
        """Follow these from now on, but for those whose last price NATS has lost."""
        try:
            # Subscribe before reading: the other order loses the ticks in between.
            for topic in topics:
                subject = price_subject(topic.symbol)
                topic.subscription = await self._bus.listen(subject, partial(self._hear, topic))
            await self._bus.flush()
            found = await self._read(topics)
        except BaseException:
            await _close_all(topics)
            raise
        lost = [topic for topic in topics if self._is_lost(topic, found)]
        opened = [topic for topic in topics if topic not in lost]
        for topic in opened:
            self._topics[topic.symbol] = topic
            self.let_linger(topic)
        hub_metrics.SYMBOLS.set(len(self._topics))
        self._tasks.spawn(self._confirm(opened), "hub-confirm")
        await _close_all(lost)

    async def _read(self, topics: Iterable[Topic]) -> set[str]:
        """Take the last values of `topics`; returns the symbols that have one."""
        wanted = {topic.symbol: topic for topic in topics}
        found = await self._last_prices.fragments(list(wanted))
        for symbol, fragment in found.items():
            self._hear(wanted[symbol], fragment)
        return set(found)

    def _is_lost(self, topic: Topic, found: set[str]) -> bool:
        """True if the topic looks as if it had never traded, and may have.

        NATS loses the last values with its memory. The feed publishes all of them again before its
        next beat, so a symbol that has none after that beat has none. A value that is there and was
        not taken is of an owner that is none any more: the next one's is on its way.
        """
        return topic.v < 0 and (topic.symbol in found or not self._pulse.since_connect)

    async def _confirm(self, topics: list[Topic]) -> None:
        await asyncio.sleep(CONFIRM_SECONDS)
        try:
            await self._read(topics)
        except BusUnavailable as error:
            # The reconnection rereads everything; the feed's repair round does in any case.
            log.warning("snapshot_not_confirmed", error=str(error))

    def _drop(self, topic: Topic) -> None:
        topic.linger = None
        del self._topics[topic.symbol]
        hub_metrics.SYMBOLS.set(len(self._topics))
        if topic.subscription is not None:
            self._tasks.spawn(topic.subscription.close(), "hub-unsubscribe")

    async def _reread_later(self) -> None:
        # Not awaited here: the connection waits for this callback before it goes on.
        self._tasks.spawn(self._reread(), "hub-reread")

    async def _reread(self) -> None:
        while self._topics and self._bus.connected:
            try:
                await self._read(list(self._topics.values()))
            except BusUnavailable as error:
                log.warning("snapshot_not_reread", error=str(error))
                await asyncio.sleep(CONFIRM_SECONDS * random.uniform(1.0, 2.0))
            else:
                hub_metrics.REREADS.inc()
                return


async def _close_all(topics: Iterable[Topic]) -> None:
    for topic in topics:
        if topic.subscription is not None:
            await topic.subscription.close()
