"""Viewers and the exchange recorded side by side, while a test breaks what lies between them."""

import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Generic, Protocol, TypeVar
from uuid import uuid4

from devstack.process import State
from devstack.stack import DevStack
from tests.support.eventually import eventually
from tests.support.exchange_member import Member, member_of
from tests.support.market_record import MarketRecord, recording_market
from tests.support.price_checker import QUIET_SECONDS, Span, Verdict, check
from tests.support.price_recording import Recording
from tests.support.price_viewer import PriceViewer, price_viewer, viewing_all

SPEED: Final = 20.0
STANDSTILL: Final = 1e-6
"""A speed at which nothing trades for days."""
LIVELY_TRADES: Final = 400
TRADES_SECONDS: Final = 120.0
RECOVERY_SECONDS: Final = 60.0
SETTLE_SECONDS: Final = 3 * RECOVERY_SECONDS
PATIENCE_SECONDS: Final = 60.0
"""What is late for that long is not the machine's fault."""
LIST_SIZE: Final = 20


class Watched(Protocol):
    """A viewer, of whatever kind; its `symbols` are those of its newest list."""

    recording: Recording
    symbols: tuple[str, ...]


ViewerT = TypeVar("ViewerT", bound=Watched)


@dataclass
class PriceWatch(Generic[ViewerT]):
    """What is watched."""

    member: Member
    market: MarketRecord
    viewers: list[ViewerT]
    others: list[Recording] = field(default_factory=list)
    """Of viewers that came and went."""

    async def speed(self, speed: float) -> None:
        """Let the market run faster or slower."""
        await self.member.control("speed", speed=speed)

    async def trades(self, count: int) -> None:
        """Wait until that many more trades have happened."""
        aim = self.trade_seq + count
        await eventually(lambda: self.trade_seq >= aim, f"{count} more trades", TRADES_SECONDS)

    @property
    def trade_seq(self) -> int:
        """The number of the newest trade."""
        return self.market.trade_seq or 0

    async def all_live(self) -> None:
        """Wait until every viewer has a stream with prices that are not stale."""

        def see() -> None:
            blind = [v.recording for v in self.viewers if not v.recording.is_live()]
            assert not blind, [(one.name, one.kinds()[-3:]) for one in blind]

        await eventually(see, "every viewer sees live prices", RECOVERY_SECONDS)

    async def all_show_the_last(self, within_seconds: float = RECOVERY_SECONDS) -> None:
        """With the market at a standstill: wait until every viewer shows every last price."""
        for viewer in self.viewers:
            await self.shows_the_last(viewer, within_seconds)

    async def shows_the_last(
        self, viewer: ViewerT, within_seconds: float = RECOVERY_SECONDS
    ) -> None:
        """The same of one of them."""
        await eventually(
            partial(self._assert_current, viewer),
            f"{viewer.recording.name} shows the last prices",
            within_seconds,
        )

    def _assert_current(self, viewer: ViewerT) -> None:
        shown, now = viewer.recording.shown(), time.monotonic()
        for symbol in viewer.symbols:
            last, tick = self.market.last(symbol, now), shown.get(symbol)
            assert last is None or (tick is not None and tick.seq == last.seq), (tick, last)

    async def _quiet(self) -> None:
        """Wait for a second in which nothing trades."""
        began = time.monotonic()
        await eventually(
            lambda: time.monotonic() - max(began, self.market.last_heard_at) > QUIET_SECONDS,
            "the market is quiet",
        )

    async def settle(self) -> Verdict:
        """End of a test: everything works again. Trade on, stand still; nothing may be wrong."""
        verdict = await self.judge()
        assert not verdict.violations, verdict.violations[:10]
        return verdict

    async def judge(self) -> Verdict:
        """The same; what is wrong is in the verdict."""
        patient_until = time.monotonic() + PATIENCE_SECONDS

        async def undisturbed() -> Verdict:
            epoch, calm = await self._trade()
            recordings = [viewer.recording for viewer in self.viewers] + self.others
            verdict = check(self.market, recordings, [calm])
            # It may change hands for a while after NATS was away.
            assert self.epoch() == epoch, "the feed changed hands"
            # Everything came, some of it late: for once the machine may have stood still.
            late = [one for one in verdict.violations if one.rule == "current"]
            assert not late or time.monotonic() > patient_until, late[:10]
            return verdict

        verdict: Verdict = await eventually(undisturbed, "trading is undisturbed", SETTLE_SECONDS)
        # Every symbol of every viewer stood still at the end, so each was looked at.
        assert verdict.quiets >= sum(len(viewer.symbols) for viewer in self.viewers)
        return verdict

    async def _trade(self) -> tuple[int, Span]:
        """Trade, and stand still until every viewer shows it; returns the epoch, and since when."""
        await self.speed(SPEED)
        await self.all_live()
        epoch, began = self.epoch(), time.monotonic()
        await self.trades(LIVELY_TRADES)
        await self.speed(STANDSTILL)
        await self._quiet()
        calm = began, time.monotonic()
        await self.all_show_the_last()
        return epoch, calm

    def epoch(self) -> int:
        """The newest epoch that anybody was shown."""
        return max(tick.epoch for v in self.viewers for tick in v.recording.ticks())


@asynccontextmanager
async def market_watch(stack: DevStack) -> AsyncIterator[tuple[Member, MarketRecord]]:
    """Record the market, at its usual speed before and after."""
    async with member_of(stack.exchange_url, f"watch-{uuid4().hex[:8]}") as member:
        await member.control("speed", speed=SPEED)
        async with recording_market(member) as market:
            try:
                yield member, market
            finally:
                await member.control("speed", speed=SPEED)


@asynccontextmanager
async def price_watch(
    stack: DevStack, urls: Sequence[str], viewers: int = 8, receive_bytes: int | None = None
) -> AsyncIterator[PriceWatch[PriceViewer]]:
    """Watch the exchange and `viewers`, on `urls` in turn, from the moment on that all see prices.

    The first viewer holds every symbol, the others some.
    """
    async with market_watch(stack) as (member, market):
        lists = [market.symbols[:200]]
        draw = random.Random(7)
        lists += [draw.sample(market.symbols, LIST_SIZE) for _ in range(viewers - 1)]
        all_viewers = [
            await price_viewer(
                f"{member.name}-{number}", _from(urls, number), symbols, receive_bytes
            )
            for number, symbols in enumerate(lists)
        ]
        watch = PriceWatch(member, market, all_viewers)
        async with viewing_all(all_viewers):
            await watch.all_live()
            yield watch


def _from(urls: Sequence[str], number: int) -> list[str]:
    start = number % len(urls)
    return [*urls[start:], *urls[:start]]


async def killed(stack: DevStack, name: str) -> None:
    """SIGKILL a process; return when another one of its name is ready."""
    process = stack.processes[name]
    restarts = process.restarts
    stack.kill(name)
    await eventually(
        lambda: process.restarts > restarts and process.state is State.READY,
        f"{name} is back",
        RECOVERY_SECONDS,
    )


async def feed_killed(stack: DevStack, watch: PriceWatch[ViewerT]) -> None:
    """Kill every copy of the feed, one after the other; return when another owner is seen."""
    epoch = watch.epoch()
    for name in [name for name in stack.processes if name.startswith("feed")]:
        await killed(stack, name)
    await eventually(
        lambda: watch.epoch() > epoch, "another owner of the feed is seen", RECOVERY_SECONDS
    )
