"""docs/capacity.md, from the figures of a run and the assumptions. Pure."""

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Final

from bench.capacity.figures import Figures
from bench.capacity.needs import Assumptions, connections, feeds, monthly, needs
from bench.tables import Grid

TEMPLATE: Final = Path(__file__).with_name("page.md")


def page(figures: Figures, assumed: Assumptions) -> str:
    """The whole text."""
    order, viewer = figures.order, figures.viewer
    found = needs(figures, assumed)
    return TEMPLATE.read_text().format(
        users=f"{assumed.users / 1e6:g} M",
        orders=f"{order.orders:,}",
        rate=order.rate,
        day=figures.day,
        machine=figures.machine,
        load_before=figures.load_before,
        cpu=_table(_cpu(figures)),
        written=_table(_written(figures)),
        viewers=f"{viewer.viewers:,}",
        updates=viewer.updates_per_second,
        viewer=_table(_viewer(figures)),
        needs=_table(_needs(figures, assumed)),
        money=_table(_money(figures, assumed)),
        assumed=_table(_assumed(assumed)),
        cells=found[0].count,
        feeds=feeds(figures, assumed),
        ratio=assumed.peak_orders_per_second * 86_400 / assumed.orders_per_day,
        temporal=order.cpu_ms["temporal"] / sum(order.cpu_ms.values()),
        connections=connections(figures, assumed),
    )


def _table(grid: Grid) -> str:
    return grid.markdown().partition("\n\n")[2]


def _cpu(figures: Figures) -> Grid:
    order, memory = figures.order, figures.memory_bytes
    rows = [
        (kind, f"{ms:.1f}", f"{memory[kind] / 1e6:.0f}")
        for kind, ms in sorted(order.cpu_ms.items(), key=lambda one: -one[1])
    ]
    total = (f"{sum(order.cpu_ms.values()):.1f}", f"{sum(memory.values()) / 1e6:.0f}")
    return Grid("", ("process", "ms an order", "memory MB"), [*rows, ("all", *total)])


def _written(figures: Figures) -> Grid:
    order = figures.order
    rows = [
        ("Temporal: state transitions, events", f"{order.transitions:.1f}, {order.events:.1f}"),
        ("Temporal's store, development server's SQLite", f"{order.temporal_bytes / 1e3:.1f} kB"),
        (
            "Postgres: rows written, transactions",
            f"{order.postgres_rows:.1f}, {order.postgres_commits:.1f}",
        ),
        ("Postgres: tables and indexes", f"{order.postgres_bytes / 1e3:.1f} kB"),
        ("Postgres: write-ahead log", f"{order.postgres_log_bytes / 1e3:.1f} kB"),
        ("executions at the exchange", f"{order.executions:.2f}"),
        ("JetStream: reports, each flushed, gone once settled", f"{order.jetstream_messages:.2f}"),
    ]
    return Grid("", ("what", "an order"), rows)


def _viewer(figures: Figures) -> Grid:
    viewer = figures.viewer
    rows = [
        ("of a core", f"{1e6 * viewer.core:,.0f} millionths"),
        ("memory", f"{viewer.memory_bytes / 1e3:.1f} kB"),
        ("sent", f"{viewer.bytes_per_second / 1e3:.1f} kB/s"),
    ]
    return Grid("", ("what", "a viewer"), rows)


def _needs(figures: Figures, assumed: Assumptions) -> Grid:
    rows = [
        (
            one.name,
            f"{one.count:,}",
            one.why,
            f"{one.cores:,.0f}" if one.cores else "",
            f"{one.memory_gib:,.0f}" if one.memory_gib else "",
            f"{one.disk_gib / 1024:,.1f}" if one.disk_gib else "",
        )
        for one in needs(figures, assumed)
    ]
    return Grid("", ("what", "at the peak", "why", "cores", "memory GiB", "disk TiB"), rows)


def _money(figures: Figures, assumed: Assumptions) -> Grid:
    cost = monthly(figures, assumed)
    total = sum(cost.values())
    rows = [(name, f"{amount:,.0f}") for name, amount in cost.items()]
    orders = assumed.orders_per_day * assumed.trading_days
    return Grid(
        "",
        ("for", "USD a month"),
        [
            *rows,
            ("all", f"{total:,.0f}"),
            ("a user", f"{total / assumed.users:.4f}"),
            ("a thousand orders, all counted as theirs", f"{1000 * total / orders:.3f}"),
        ],
    )


def _assumed(assumed: Assumptions) -> Grid:
    rows = [
        (one.metadata["what"], f"{getattr(assumed, one.name):,}", f"`{one.name}`")
        for one in fields(assumed)
    ]
    return Grid("", ("what", "value", "in `Assumptions`"), rows)


def lines(figures: Figures, assumed: Assumptions) -> Iterator[str]:
    """The shortest answer, for the terminal."""
    yield f"an order: {sum(figures.order.cpu_ms.values()):.1f} ms of processor time"
    yield f"a viewer: {1e6 * figures.viewer.core:.0f} millionths of a core"
    for one in needs(figures, assumed):
        yield f"{one.count:8,}  {one.name}"
    yield f"{sum(monthly(figures, assumed).values()):8,.0f}  USD a month"
