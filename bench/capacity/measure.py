"""Measures one run: orders on a whole stack, then viewers on a node of their own."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

import psutil

from bench.capacity.figures import Figures, OrderCost, ViewerCost
from bench.machine import cpu_seconds, describe, load_average
from bench.phases import Bench, Measured, Phase, open_bench
from bench.prices.plan import Lengths, Row
from bench.prices.run import Code, open_price_bench
from bench.records import open_records
from bench.target import OwnStack, own_stack
from brokerage.bus.connection import open_bus
from brokerage.contracts.subjects import EXECUTIONS_STREAM
from brokerage.storage.footprint import Footprint, open_footprint
from devstack.services import kind_of

RATE: Final = 15.0
"""Orders a second: less than two cores carry, so that nothing waits for them."""
IDLE_SECONDS: Final = 15.0
STATISTICS_SECONDS: Final = 1.5
"""So late may Postgres be with its counts."""
VIEWERS: Final = Row(1_000, 20)
LENGTHS: Final = Lengths(warm_up_seconds=3, window_seconds=10, rounds=1, come_back=False)


async def measure(
    orders: int, viewers: Row, lengths: Lengths, tell: Callable[[str], None]
) -> Figures:
    """Measure both, one after the other. Raises `StackError`, `ChildFailed`, `CannotOpen`."""
    load_before = load_average()
    async with own_stack(20.0, tell=tell) as target, open_bench(target, tell) as bench:
        order, memory_bytes = await _orders(target, bench, orders, tell)
    base_us = time.monotonic_ns() // 1000
    async with open_price_bench(base_us, Code(), viewers.viewers, tell) as prices:
        seen = await prices.measure("hub", viewers, lengths)
    return Figures(
        machine=describe(),
        day=datetime.now(UTC).date().isoformat(),
        load_before=load_before,
        order=order,
        viewer=ViewerCost(
            viewers=viewers.viewers,
            core=seen.shares["server"] / viewers.viewers,
            memory_bytes=seen.connection_bytes,
            updates_per_second=seen.delivered_per_second / viewers.viewers,
            bytes_per_second=seen.watched.bytes / seen.watched.seconds / viewers.viewers,
        ),
        memory_bytes=memory_bytes,
    )


@dataclass(frozen=True, slots=True)
class _Look:
    """All that was written by then, in seconds of the monotonic clock."""

    at: float
    cpu_seconds: Mapping[str, float]
    postgres: Footprint
    temporal_bytes: int
    jetstream_messages: int
    orders: int
    executions: int


async def _orders(
    target: OwnStack, bench: Bench, orders: int, tell: Callable[[str], None]
) -> tuple[OrderCost, dict[str, int]]:
    # Once unmeasured: what is made once, as a table's first pages, is no order's.
    await bench.run(Phase("ours", rate=RATE), orders / RATE / 4)
    async with (
        open_footprint(target.env["SHERWOOD_DATABASE_URL"]) as footprint,
        open_records(target.env) as records,
        open_bus(target.env["SHERWOOD_NATS_URL"], "capacity") as bus,
    ):

        async def look() -> _Look:
            state = (await bus.jetstream.stream_info(EXECUTIONS_STREAM)).state
            theirs = await records.theirs()
            await asyncio.sleep(STATISTICS_SECONDS)
            return _Look(
                time.monotonic(),
                {row.name: cpu_seconds(row.pid) for row in target.rows() if row.pid is not None},
                await footprint(),
                _folder_bytes(target.stack.home.root / "temporal"),
                state.last_seq,
                len(theirs.orders),
                len(theirs.executions),
            )

        quiet = await look()
        tell("no orders: what the market alone costs")
        await asyncio.sleep(IDLE_SECONDS)
        before = await look()
        measured = await bench.run(Phase("ours", rate=RATE), orders / RATE)
        after = await look()
    tell("looking at what it came to")
    return _cost(measured, quiet, before, after), _memory(target)


def _cost(measured: Measured, quiet: _Look, before: _Look, after: _Look) -> OrderCost:
    """What one order took, above what the market alone took from `quiet` to `before`."""
    orders = after.orders - before.orders
    longer = (after.at - before.at) / (before.at - quiet.at)

    def each(of: Callable[[_Look], float]) -> float:
        return (of(after) - of(before) - longer * (of(before) - of(quiet))) / orders

    cpu_ms: dict[str, float] = {}
    for name in after.cpu_seconds:
        kind = kind_of(name)
        if kind != "exchange":  # that is another company's
            above = 1000 * each(partial(_cpu_of, name))
            cpu_ms[kind] = max(0.0, cpu_ms.get(kind, 0.0) + above)
    return OrderCost(
        orders=orders,
        rate=measured.samples.rate,
        cpu_ms=cpu_ms,
        events=measured.events,
        transitions=measured.transitions,
        executions=each(lambda look: look.executions),
        postgres_rows=each(lambda look: look.postgres.rows),
        postgres_commits=each(lambda look: look.postgres.commits),
        postgres_bytes=each(lambda look: look.postgres.kept_bytes),
        postgres_log_bytes=each(lambda look: look.postgres.log_bytes),
        temporal_bytes=each(lambda look: look.temporal_bytes),
        jetstream_messages=each(lambda look: look.jetstream_messages),
    )


def _cpu_of(name: str, look: _Look) -> float:
    return look.cpu_seconds[name]


def _memory(target: OwnStack) -> dict[str, int]:
    """The resident memory of a process of each kind, its children included; of several the most."""
    found: dict[str, int] = {}
    for row in target.rows():
        if row.pid is not None and row.name != "exchange":
            process = psutil.Process(row.pid)
            members = [process, *process.children(recursive=True)]
            total = sum(member.memory_info().rss for member in members)
            found[kind_of(row.name)] = max(total, found.get(kind_of(row.name), 0))
    return found


def _folder_bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
