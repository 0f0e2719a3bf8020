"""The price measurement measures: real servers, a real load, streams that are looked at."""

import time

import pytest

from bench.prices import run
from bench.prices.plan import Lengths, Row
from bench.prices.run import RECORDED, Code, Measured, open_price_bench

ROW = Row(40, 20)
# A machine may stand still for much of a window, and still something must come within it.
LENGTHS = Lengths(warm_up_seconds=0.2, window_seconds=6.0, rounds=1, come_back=True)


async def test_both_servers_are_opened_loaded_and_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "QUIET_SECONDS", 6.0)
    told: list[str] = []
    base_us = time.monotonic_ns() // 1000

    async with open_price_bench(base_us, Code(), ROW.viewers, told.append) as bench:
        hub = await bench.measure("hub", ROW, LENGTHS)
        usual = await bench.measure("usual", ROW, LENGTHS)

    for one in (hub, usual):
        _saw_its_load(one)
    assert hub.checked is not None
    assert hub.checked.streams == RECORDED
    assert hub.checked.updates > RECORDED
    assert hub.checked.faults == []
    assert usual.checked is None
    assert hub.came_back_per_second is not None
    assert hub.came_back_per_second > 0
    assert told[-1] == "stopping"


def _saw_its_load(one: Measured) -> None:
    assert one.published.ticks > 0
    assert one.watched.updates > 0
    assert one.watched.bytes > 100 * one.watched.updates
    assert one.watched.ages_ms == sorted(one.watched.ages_ms)
    assert one.watched.ages_ms[0] > 0
    assert one.watched.lost == 0
    assert one.shares["server"] > 0
    # Where memory is short, a server may lose more pages than its streams take.
    assert min(one.rss_opened, one.rss_before) > 0
    assert one.rss_opened != one.rss_before
