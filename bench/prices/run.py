"""One measurement after the other: a server on its core, streams opened, ticks published."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import psutil

from bench.children import ChildFailed, server
from bench.figures import percentile
from bench.machine import CpuWatch
from bench.prices.cores import Cores, CoreWatch, chosen_cores, on
from bench.prices.dialing import allow_descriptors
from bench.prices.helpers import Helper, helper
from bench.prices.messages import (
    Check,
    Checked,
    Open,
    Opened,
    Publish,
    Published,
    PublisherSpec,
    Watch,
    Watched,
)
from bench.prices.plan import Lengths, Row, symbol_names, watch_lists
from devstack.ports import HOST, free_ports
from devstack.settings import CHECKOUT, inherited_environment
from devstack.stack import DevStack

Kind = Literal["hub", "usual"]
SERVERS: Final = ("postgres", "nats", "migrations")
"""What a node needs around it to be whole; Temporal it only asks when there is an order."""
AT_ONCE: Final = 64
"""Streams that are being opened together."""
RECORDED: Final = 20
SAMPLED_PER_SECOND: Final = 20_000
"""About so many ages a second are taken."""
DELIVERED_MAX: Final = 1_000_000
SETTLE_SECONDS: Final = 0.5
QUIET_SECONDS: Final = 1.0
"""So long after the last tick every viewer must show it."""
STOP_SECONDS: Final[Mapping[Kind, float]] = {"hub": 15.0, "usual": 1.0}
"""An overloaded baseline has minutes of prices to send before it ends by itself."""


@dataclass(frozen=True, slots=True)
class Code:
    """What the node runs: the API of a checkout, under cProfile if that is to be kept."""

    checkout: Path = CHECKOUT
    profile: Path | None = None

    @property
    def command(self) -> tuple[str, ...]:
        """The module and its arguments."""
        if self.profile is None:
            return ("api",)
        return ("bench.profiled", str(self.profile), "api")


@dataclass(frozen=True)
class Measured:
    """One row on one server. `shares` are parts of a core, by process; sizes are bytes.

    `kernel` is the part of the server's time that the kernel took, `strangers` what others took of
    the server's core.
    """

    kind: Kind
    row: Row
    opened: Opened
    watched: Watched
    published: Published
    shares: Mapping[str, float]
    kernel: float
    strangers: float
    rss_before: int
    rss_opened: int
    rss_after: int
    checked: Checked | None
    came_back: Opened | None

    @property
    def delivered_per_second(self) -> float:
        """Updates a second that reached viewers."""
        return self.watched.updates / self.watched.seconds

    @property
    def offered_per_second(self) -> float:
        """Updates a second that all viewers would have got by what was really published."""
        rate = self.published.ticks / self.published.seconds
        return rate / self.row.ticks_per_second * self.row.offered_per_second

    @property
    def offered_share(self) -> float:
        """What part of the planned load was really offered."""
        return self.offered_per_second / self.row.offered_per_second

    @property
    def opened_per_second(self) -> float:
        """Streams a second, each with its snapshot."""
        return self.row.viewers / self.opened.seconds

    @property
    def came_back_per_second(self) -> float | None:
        """The same when all of them come back at once; None if that was not measured."""
        return None if self.came_back is None else self.row.viewers / self.came_back.seconds

    @property
    def opened_bytes(self) -> float:
        """What the server's memory grew by for each stream, with nothing published yet."""
        return (self.rss_opened - self.rss_before) / self.row.viewers

    @property
    def connection_bytes(self) -> float:
        """The same at the end of the window."""
        return (self.rss_after - self.rss_before) / self.row.viewers

    def percentile_ms(self, percent: float) -> float:
        """The age that `percent` of the delivered updates did not exceed."""
        return percentile(self.watched.ages_ms, percent)


class PriceBench:
    """NATS, Postgres and a publisher that run; servers come and go. `tell` hears what goes on."""

    def __init__(
        self,
        stack: DevStack,
        publisher: Helper,
        base_us: int,
        cores: Cores,
        code: Code,
        tell: Callable[[str], None],
    ) -> None:
        self.publisher = publisher
        self.base_us = base_us
        self.cores = cores
        self.names = symbol_names()
        self.token_secret = stack.home.secret("token-secret")
        self._stack = stack
        self._code = code
        self.tell = tell

    async def measure(self, kind: Kind, row: Row, lengths: Lengths) -> Measured:
        """Start the server, open the streams, warm up, measure, look at what was recorded."""
        async with self.serving(kind) as (pid, url), AsyncExitStack() as crowd:
            viewers = await crowd.enter_async_context(self.viewers())
            self.tell(f"{kind}, {row}: opening")
            rss_before = rss_bytes(pid)
            opening = self.open_command(kind, url, row.viewers)
            opened = await viewers.ask(opening, Opened)
            await asyncio.sleep(SETTLE_SECONDS)
            rss_opened = rss_bytes(pid)
            self.tell(f"{kind}, {row}: warming up")
            await self.publish(row.ticks_per_second)
            await asyncio.sleep(lengths.warm_up_seconds)
            self.tell(f"{kind}, {row}: measuring")
            watch = CpuWatch([], self._pids(pid, viewers))
            core, in_kernel = CoreWatch(self.cores.server), kernel_seconds(pid)
            await self.publish(row.ticks_per_second)
            watched = await self.watch(viewers, row, lengths.window_seconds)
            used, busy, elapsed = watch.seconds(), core.busy_seconds(), watch.elapsed_seconds
            rss_after, in_kernel = rss_bytes(pid), kernel_seconds(pid) - in_kernel
            published = await self.publish(0)
            checked = await self.check(viewers) if kind == "hub" else None
            came_back = None
            if kind == "hub" and lengths.come_back:
                self.tell(f"{kind}, {row}: all come back")
                await crowd.aclose()
                async with self.viewers() as again:
                    came_back = await again.ask(opening, Opened)
            self.tell(f"{kind}, {row}: stopping")
        return Measured(
            kind=kind,
            row=row,
            opened=opened,
            watched=watched,
            published=published,
            shares={name: seconds / elapsed for name, seconds in used.items()},
            kernel=in_kernel / max(used["server"], 0.01),
            strangers=max(0.0, busy - used["server"]) / elapsed,
            rss_before=rss_before,
            rss_opened=rss_opened,
            rss_after=rss_after,
            checked=checked,
            came_back=came_back,
        )

    async def publish(self, ticks_per_second: float) -> Published:
        """Have the publisher go on at another rate; return what it did since the last time."""
        return await self.publisher.ask(Publish(ticks_per_second), Published)

    def open_command(self, kind: Kind, url: str, viewers: int, slow: int = 0) -> Open:
        """Return the command that opens this many streams."""
        lists = watch_lists(self.names, viewers)
        recorded = RECORDED if kind == "hub" else 0
        return Open(
            url,
            self.token_secret,
            int(time.time()),
            lists,
            AT_ONCE,
            slow,
            min(recorded, viewers - slow),
        )

    async def watch(
        self, viewers: Helper, row: Row, seconds: float, *, stall: bool = False
    ) -> Watched:
        """Count for so long; the ages come back sorted."""
        sampled = min(1.0, SAMPLED_PER_SECOND / min(DELIVERED_MAX, row.offered_per_second))
        command = Watch(seconds, sampled, self.base_us, stall)
        watched = await viewers.ask(command, Watched, seconds)
        watched.ages_ms.sort()
        return watched

    async def check(self, viewers: Helper) -> Checked:
        """Wait a moment after the last tick, then look at the recorded streams."""
        await asyncio.sleep(QUIET_SECONDS)
        newest = (await self.publish(0)).versions
        return await viewers.ask(Check(dict(zip(self.names, newest, strict=True))), Checked)

    @asynccontextmanager
    async def serving(self, kind: Kind) -> AsyncIterator[tuple[int, str]]:
        """Run a server on its core until the block ends; yields its pid and address."""
        self.tell(f"{kind}: starting")
        ports = free_ports(["api", "temporal"], {})
        url = f"http://{HOST}:{ports['api']}"
        env = {
            **inherited_environment(),
            **self._stack.env,
            "SHERWOOD_API_HOST": HOST,
            "SHERWOOD_API_PORT": str(ports["api"]),
            "SHERWOOD_TEMPORAL_ADDRESS": f"{HOST}:{ports['temporal']}",  # nobody is there
            "SHERWOOD_TOKEN_ALGORITHM": "HS256",
            "SHERWOOD_TOKEN_SECRET": self.token_secret,
        }
        alone = frozenset() if self.cores.server is None else frozenset({self.cores.server})
        async with AsyncExitStack() as resources:
            with on(alone):
                pid = await resources.enter_async_context(
                    server(
                        *(self._code.command if kind == "hub" else ("bench.prices.usual",)),
                        env=env,
                        url=url,
                        log=self._stack.home.log_of(f"bench-{kind}"),
                        folder=self._code.checkout if kind == "hub" else CHECKOUT,
                        stop_seconds=STOP_SECONDS[kind],
                    )
                )
            yield pid, url

    @asynccontextmanager
    async def viewers(self) -> AsyncIterator[Helper]:
        """Run a load client until the block ends."""
        log = self._stack.home.log_of("bench-viewers")
        async with helper("bench.prices.viewers", inherited_environment(), log) as one:
            yield one

    def _pids(self, pid: int, viewers: Helper) -> dict[str, int]:
        nats = self._stack.processes["nats"].pid
        assert nats is not None
        return {
            "server": pid,
            "client": viewers.pid,
            "publisher": self.publisher.pid,
            "NATS": nats,
        }


@asynccontextmanager
async def open_price_bench(
    base_us: int, code: Code, viewers_max: int, tell: Callable[[str], None]
) -> AsyncIterator[PriceBench]:
    """Start what all measurements share. Raises `StackError`, `ChildFailed`, `CannotOpen`.

    `base_us` is what versions count from; no server gets more than `viewers_max` streams.
    """
    cores = chosen_cores()
    allow_descriptors(viewers_max)
    with on(cores.others if cores.server is not None else frozenset()):
        stack = DevStack.temporary(only=SERVERS)
        async with stack:
            tell("starting Postgres and NATS")
            await stack.wait_ready()
            log = stack.home.log_of("bench-publisher")
            env = {**inherited_environment(), **stack.env}
            async with helper("bench.prices.publisher", env, log) as publisher:
                bench = PriceBench(stack, publisher, base_us, cores, code, tell)
                spec = PublisherSpec(stack.env["SHERWOOD_NATS_URL"], bench.names, base_us)
                await publisher.tell(spec)
                await bench.publish(0)
                yield bench
                tell("stopping")


def rss_bytes(pid: int) -> int:
    """Return the resident memory of a server. Raises `ChildFailed` if it is gone."""
    with _there():
        return int(psutil.Process(pid).memory_info().rss)


def kernel_seconds(pid: int) -> float:
    """Return the processor time that the kernel took for a server. Raises `ChildFailed`."""
    with _there():
        return float(psutil.Process(pid).cpu_times().system)


@contextmanager
def _there() -> Iterator[None]:
    try:
        yield
    except psutil.NoSuchProcess as error:
        raise ChildFailed("the server ended under the load") from error
