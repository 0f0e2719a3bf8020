"""Viewers that stop reading: what it costs the others, the node, and themselves when they go on."""

import asyncio
from dataclasses import dataclass
from typing import Final

from bench.figures import percentile
from bench.prices.messages import Opened, Resume, Resumed, Watched
from bench.prices.plan import Row
from bench.prices.run import PriceBench, rss_bytes

ROW: Final = Row(200, 400)
SLOW: Final = 20
"""So many of the viewers have the smallest receive buffer, and stop reading."""
STALL_SECONDS: Final = 20.0
RESUME_SECONDS: Final = 3.0


@dataclass(frozen=True)
class Stalled:
    """The others in a window before and in one with stalled viewers, of the same length.

    Sizes of the node, in bytes: before the stall, in the middle of it, at its end.
    """

    before: Watched
    during: Watched
    resumed: Resumed
    rss: tuple[int, int, int]

    @property
    def p99_before_ms(self) -> float:
        """The others' p99 with everybody reading."""
        return percentile(self.before.ages_ms, 99)

    @property
    def p99_during_ms(self) -> float:
        """The others' p99 beside stalled viewers."""
        return percentile(self.during.ages_ms, 99)

    @property
    def growth_bytes(self) -> int:
        """What the node grew by in the second half of the stall: buffers are full by then."""
        return self.rss[2] - self.rss[1]


async def stalled(bench: PriceBench, warm_up_seconds: float) -> Stalled:
    """Measure without and with stalled viewers, on one node, then let them go on."""
    async with bench.serving("hub") as (pid, url), bench.viewers() as viewers:
        await viewers.ask(bench.open_command("hub", url, ROW.viewers, SLOW), Opened)
        await bench.publish(ROW.ticks_per_second)
        await asyncio.sleep(warm_up_seconds)
        bench.tell("stalled viewers: without any")
        before = await bench.watch(viewers, ROW, STALL_SECONDS)
        bench.tell(f"stalled viewers: {SLOW} of {ROW.viewers} stop reading")
        sizes = [rss_bytes(pid)]
        halves = []
        for _ in range(2):
            halves.append(await bench.watch(viewers, ROW, STALL_SECONDS / 2, stall=True))
            sizes.append(rss_bytes(pid))
        bench.tell("stalled viewers: reading again")
        resumed = await viewers.ask(Resume(RESUME_SECONDS, bench.base_us), Resumed, RESUME_SECONDS)
        await bench.publish(0)
    return Stalled(before, _together(halves), resumed, (sizes[0], sizes[1], sizes[2]))


def _together(halves: list[Watched]) -> Watched:
    return Watched(
        seconds=sum(one.seconds for one in halves),
        updates=sum(one.updates for one in halves),
        bytes=sum(one.bytes for one in halves),
        reads=sum(one.reads for one in halves),
        ages_ms=sorted(age for one in halves for age in one.ages_ms),
        cpu_seconds=sum(one.cpu_seconds for one in halves),
        lost=sum(one.lost for one in halves),
    )
