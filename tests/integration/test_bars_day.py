"""A whole recorded day through the feed, as fast as the exchange prints it: nothing is lost.

`SHERWOOD_TAPE` names the file of another day to play as well; that one is timed too:

    SHERWOOD_TAPE=FILE .venv/bin/pytest -s tests/integration/test_bars_day.py
"""

import csv
import gzip
import os
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psutil
import pytest
import structlog

import exchange
from brokerage.bus.connection import BusUnavailable, open_bus
from brokerage.bus.last_price import LastPrices
from brokerage.domain.bars import BarInterval
from devstack.stack import DevStack
from tests.support.bars import StoredBars, stored_bars
from tests.support.eventually import eventually
from tests.support.exchange_member import ExchangeProcess, Member, exchange_process, member_of
from tests.support.feeds import FeedProcess, feed_process
from tests.support.nats_server import NatsServer, nats_server
from tests.support.own_database import own_database

log = structlog.get_logger()

SHIPPED = Path(exchange.__file__).parent / "tape" / "us-trades-2013-10-07.csv.gz"
GIVEN = os.environ.get("SHERWOOD_TAPE")  # noqa: TID251 - which day to play is asked from outside
GIVEN_DAY_SECONDS = 10.0
"""How long the given day may take at most, from its first trade to the last one's bars."""
OPENING_SHARES = 100
MIDST_SPEED = 400
"""Thousands of trades a second, and a minute until the day is over."""
DAY_SECONDS = 400.0


@dataclass
class Totals:
    """What a symbol traded in a day."""

    trades: int
    shares: int
    notional_cents: int
    high_cents: int
    low_cents: int


@dataclass
class Recorded:
    """A tape's totals by symbol, the first and the last price of each."""

    totals: dict[str, Totals]
    first_cents: dict[str, int]
    last_cents: dict[str, int]
    trades: int


@cache
def recorded(tape: Path) -> Recorded:
    """The file, added up line by line.

    The exchange opens its day with one print of each symbol, at the first recorded price.
    """
    day = Recorded({}, {}, {}, 0)
    with gzip.open(tape, "rt", newline="") as lines:
        for row in csv.DictReader(lines):
            symbol, cents, shares = row["symbol"], int(row["price_cents"]), int(row["shares"])
            totals = day.totals.get(symbol)
            if totals is None:
                day.first_cents[symbol] = cents
                totals = day.totals[symbol] = Totals(
                    1, OPENING_SHARES, cents * OPENING_SHARES, cents, cents
                )
            totals.trades += 1
            totals.shares += shares
            totals.notional_cents += cents * shares
            totals.high_cents = max(totals.high_cents, cents)
            totals.low_cents = min(totals.low_cents, cents)
            day.last_cents[symbol] = cents
            day.trades += 1
    return day


@dataclass
class Playing:
    """An exchange that is about to play a day of the tape and no more, and who follows it."""

    day: Recorded
    exchange: ExchangeProcess
    member: Member
    nats: NatsServer
    database_url: str
    stored: StoredBars
    opening_trades: int
    folder: Path

    @property
    def last_trade_seq(self) -> int:
        """The number of the day's last trade."""
        return self.opening_trades + self.day.trades

    @asynccontextmanager
    async def feed(self, name: str) -> AsyncIterator[FeedProcess]:
        """A copy of the feed, in a process of its own."""
        log_file = self.folder / f"{name}.log"
        async with feed_process(
            self.exchange.url, self.nats.url, log_file, self.database_url
        ) as feed:
            yield feed

    async def totals(self, interval: BarInterval) -> dict[str, Totals]:
        """What the bars of one length add up to, for the symbols of the tape."""
        rows = await self.stored.database.fetch(
            "SELECT symbol, sum(trades)::bigint, sum(volume)::bigint, sum(notional_cents)::bigint, "
            f"max(high_cents), min(low_cents) FROM bars_{interval} WHERE symbol = ANY ($1) "
            "GROUP BY symbol",
            list(self.day.totals),
        )
        return {row["symbol"]: Totals(*row[1:]) for row in rows}


@pytest.fixture(params=[SHIPPED, *([Path(GIVEN)] if GIVEN else [])], ids=lambda tape: tape.name)
def tape(request: pytest.FixtureRequest) -> Path:
    """The file of a recorded day."""
    path: Path = request.param
    return path


@pytest.fixture
async def playing(servers: DevStack, tmp_path: Path, tape: Path) -> AsyncIterator[Playing]:
    """The exchange has opened its day and waits; no symbol walks."""
    options = ("--tape", str(tape), "--days", "1", "--speed", "0.000001")
    still = {"EXCHANGE_WALK_PRINTS_PER_SECOND": "1e-9"}
    async with AsyncExitStack() as stack:
        nats = await stack.enter_async_context(nats_server(tmp_path / "nats"))
        url = await stack.enter_async_context(own_database(servers.env["SHERWOOD_DATABASE_URL"]))
        process = await stack.enter_async_context(
            exchange_process(tmp_path, *options, environment=still)
        )
        member = await stack.enter_async_context(member_of(process.url))
        stored = await stack.enter_async_context(stored_bars(url))
        opening = (await member.status()).trade_seq
        yield Playing(recorded(tape), process, member, nats, url, stored, opening, tmp_path)


async def test_recorded_day_adds_up_to_its_tape(playing: Playing, tape: Path) -> None:
    day = playing.day
    async with playing.feed("feed") as feed:
        await eventually(
            lambda: playing.stored.reach(playing.opening_trades), "the bars have the opening"
        )
        cpu_before = cpu_seconds(feed)

        began = time.monotonic()
        await playing.member.control("speed", speed="max")
        await eventually(
            lambda: playing.stored.reach(playing.last_trade_seq), "the day is over", DAY_SECONDS
        )
        seconds = time.monotonic() - began

        log.info(
            "day_through_the_feed",
            tape=tape.name,
            trades=day.trades,
            seconds=round(seconds, 2),
            trades_per_second=round(day.trades / seconds),
            feed_cpu_seconds=round(cpu_seconds(feed) - cpu_before, 2),
        )
        for interval in BarInterval:
            assert await playing.totals(interval) == day.totals
        assert await feed.metric("sherwood_bars_trades_skipped_total") == 0
        if await feed.metric("sherwood_feed_takeovers_total") == 1:
            # Who lost the lease for a moment has from a snapshot what was traded meanwhile.
            assert await feed.metric("sherwood_feed_trades_total") == day.trades
        await ticks_are_right(playing)
    if GIVEN is not None and tape == Path(GIVEN):
        # Only who asks for a measurement gets one: this day is not among the usual tests.
        assert seconds <= GIVEN_DAY_SECONDS


async def test_feed_that_is_killed_in_the_midst_of_the_day_leaves_no_hole_and_nothing_twice(
    playing: Playing,
) -> None:
    async with playing.feed("first") as first, playing.feed("second") as second:
        owner, standby = await owner_and_standby(first, second)
        # Fast, but not over before anybody can be killed.
        await playing.member.control("speed", speed=MIDST_SPEED)
        await eventually(
            lambda: playing.stored.reach(playing.opening_trades + 1), "the day has begun"
        )
        await owner.process.kill()
        assert not await playing.stored.reach(playing.last_trade_seq)
        await playing.member.control("speed", speed="max")

        await eventually(
            lambda: playing.stored.reach(playing.last_trade_seq), "the day is over", DAY_SECONDS
        )

        for interval in BarInterval:
            assert await playing.totals(interval) == playing.day.totals
        assert await standby.metric("sherwood_bars_trades_skipped_total") == 0
        await ticks_are_right(playing)


async def owner_and_standby(*copies: FeedProcess) -> list[FeedProcess]:
    """Two copies by their roles: on a busy machine it need not be the first that owns the feed."""
    by_role: dict[str, FeedProcess] = {}

    async def both() -> bool:
        by_role.clear()
        for copy in copies:
            status, role = await copy.health()
            if status == 200:
                by_role[role] = copy
        return by_role.keys() == {"owner", "standby"}

    await eventually(both, "one copy owns the feed and one stands by", 60)
    return [by_role["owner"], by_role["standby"]]


async def ticks_are_right(playing: Playing) -> None:
    """The last ticks show the day as the tape has it."""
    day = playing.day
    async with open_bus(playing.nats.url, "test") as bus:

        async def so() -> bool:
            for symbol, totals in day.totals.items():
                try:
                    tick = await LastPrices(bus).get(symbol)
                except BusUnavailable as error:
                    raise AssertionError("NATS is too busy") from error
                if tick is None or tick.volume != totals.shares:
                    return False
                assert (tick.open_cents, tick.price_cents, tick.high_cents, tick.low_cents) == (
                    day.first_cents[symbol],
                    day.last_cents[symbol],
                    totals.high_cents,
                    totals.low_cents,
                )
            return True

        await eventually(so, "the last ticks show the whole day", 60)


def cpu_seconds(feed: FeedProcess) -> float:
    """What the process has used of a core so far."""
    used = psutil.Process(feed.process.pid).cpu_times()
    return used.user + used.system
