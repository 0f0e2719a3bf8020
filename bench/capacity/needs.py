"""From what one order and one viewer cost to what many users need. Pure arithmetic."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import Any, Final

from bench.capacity.figures import Figures, OrderCost
from brokerage.runtime.settings import Settings
from exchange.protocol import BATCH_MAX

GIB: Final = 2**30
HOURS: Final = 730.0
"""Of a month."""
SERVER_GIB_MIN: Final = 4.0
"""Memory of a Postgres or Temporal that has work, at least; here they are nearly empty."""


def _is(value: Any, what: str) -> Any:
    """A default, and what the page says of it."""
    return field(default=value, metadata={"what": what})


@dataclass(frozen=True)
class Assumptions:
    """What is not measured here. Rates are of all users together."""

    users: int = _is(20_000_000, "daily users")
    orders_per_user: float = _is(5, "orders of each a day")
    peak_orders_per_second: float = _is(30_000, "orders a second at the open")
    viewers_share: float = _is(0.10, "part of the users who look at prices at once, at the open")
    viewing_hours: float = _is(1.5, "hours that a user looks at prices on a trading day")
    trading_days: int = _is(21, "trading days a month")
    busy: float = _is(0.6, "part of a core that is planned for")
    transitions_per_cell: float = _is(
        2_000, "state transitions a second of one Temporal on one Postgres (published: 1 to 3 k)"
    )
    executions_per_stream: float = _is(
        2_500, "executions a second that one JetStream stream flushes and acknowledges"
    )
    exchange_answer_seconds: float = _is(0.005, "seconds until the exchange answers a batch")
    batch: int = _is(BATCH_MAX, "placements in one request to the exchange")
    node_viewers_max: int = _is(
        Settings.model_fields["streams_max"].default, "price streams that one API process lets in"
    )
    days_in_postgres: int = _is(30, "days until closed orders move to cheaper storage")
    days_in_temporal: int = _is(7, "days that ended workflows are kept")
    copies: int = _is(3, "copies of everything on disk")
    core_hour: float = _is(0.04, "USD for an hour of a core")
    gib_hour: float = _is(0.005, "USD for an hour of a GiB of memory")
    disk_gib_month: float = _is(0.10, "USD for a month of a GiB of disk")
    traffic_gib: float = _is(0.02, "USD for a GiB sent out, at large amounts")

    @property
    def orders_per_day(self) -> float:
        """All users' orders."""
        return self.users * self.orders_per_user

    @property
    def viewers_at_peak(self) -> float:
        """Streams that are open together."""
        return self.users * self.viewers_share


@dataclass(frozen=True, slots=True)
class Need:
    """So many of a thing at the peak, why, and what they take: cores, GiB of memory and of disk."""

    name: str
    count: int
    why: str
    cores: float = 0.0
    memory_gib: float = 0.0
    disk_gib: float = 0.0
    follows_load: bool = False
    """Whether it is there only while the load is."""


def needs(figures: Figures, assumed: Assumptions) -> list[Need]:
    """All that there must be at the peak."""
    return [*_cells(figures, assumed), *_processes(figures, assumed), *_viewers(figures, assumed)]


def _cells(figures: Figures, assumed: Assumptions) -> Iterator[Need]:
    order, peak = figures.order, assumed.peak_orders_per_second
    transitions = peak * order.transitions
    cells = ceil(transitions / assumed.transitions_per_cell)
    yield Need(
        "cells",
        cells,
        f"{peak:,.0f} orders/s x {order.transitions:.1f} state transitions / "
        f"{assumed.transitions_per_cell:,.0f} a Temporal on one Postgres",
    )
    for name, bytes_per_order, days in (
        ("temporal", order.temporal_bytes, assumed.days_in_temporal),
        ("postgres", order.postgres_bytes, assumed.days_in_postgres),
    ):
        cores = _cores(peak, order, name, assumed)
        disk_gib = assumed.orders_per_day * bytes_per_order * days * assumed.copies / GIB
        yield Need(
            f"{name}, one a cell",
            cells,
            f"{order.cpu_ms[name]:.1f} ms an order; {bytes_per_order / 1000:.1f} kB of it for "
            f"{days} days, {assumed.copies} copies",
            cores,
            cells * max(figures.memory_bytes[name] / GIB, SERVER_GIB_MIN),
            disk_gib,
        )
    streams = ceil(peak * order.executions / assumed.executions_per_stream)
    yield Need(
        "partitions of the stream of executions",
        streams,
        f"{order.executions:.1f} executions an order / {assumed.executions_per_stream:,.0f} a "
        "second, each flushed",
    )
    yield Need(
        "nats, three a partition",
        3 * streams,
        f"{order.cpu_ms['nats']:.1f} ms an order",
        _cores(peak, order, "nats", assumed),
        3 * streams * 1.0,
    )


def _processes(figures: Figures, assumed: Assumptions) -> Iterator[Need]:
    order, peak = figures.order, assumed.peak_orders_per_second
    for kind in ("api", "orders", "gateway", "executions"):
        cores = _cores(peak, order, kind, assumed)
        # A Python process has one core.
        count = max(2, ceil(cores))
        yield Need(
            f"{kind}, one core each",
            count,
            f"{order.cpu_ms[kind]:.1f} ms an order, {assumed.busy:.0%} of a core",
            cores,
            count * figures.memory_bytes[kind] / GIB,
            follows_load=True,
        )
    active = feeds(figures, assumed)
    yield Need(
        "feed, one core each",
        2 * active,
        f"{order.cpu_ms['feed']:.1f} ms an order: {active} at work, each with its standby",
        2 * _cores(peak, order, "feed", assumed),
        2 * active * figures.memory_bytes["feed"] / GIB,
    )
    yield Need(
        "connections to the exchange",
        connections(figures, assumed),
        "two for each gateway that its processor time needs, one for each feed at work; for the "
        f"round trips alone {batches(assumed)} would do",
    )


def _viewers(figures: Figures, assumed: Assumptions) -> Iterator[Need]:
    viewer, viewers = figures.viewer, assumed.viewers_at_peak
    by_cpu = assumed.busy / viewer.core
    each = int(min(by_cpu, assumed.node_viewers_max))
    count = ceil(viewers / each)
    yield Need(
        "api for viewers, one core each",
        count,
        f"{viewers:,.0f} viewers / {each:,}: {1e6 * viewer.core:.0f} millionths of a core and "
        f"{viewer.memory_bytes / 1000:.0f} kB each at {viewer.updates_per_second:.0f} updates/s",
        viewers * viewer.core / assumed.busy,
        (count * figures.memory_bytes["api"] + viewers * viewer.memory_bytes) / GIB,
        follows_load=True,
    )


def batches(assumed: Assumptions) -> int:
    """Connections that could carry the peak if each request were full."""
    per_connection = assumed.batch / assumed.exchange_answer_seconds
    return ceil(assumed.peak_orders_per_second / per_connection)


def connections(figures: Figures, assumed: Assumptions) -> int:
    """What the exchange is paid for."""
    peak = assumed.peak_orders_per_second
    gateways = max(2, ceil(_cores(peak, figures.order, "gateway", assumed)))
    return max(2 * gateways, batches(assumed)) + feeds(figures, assumed)


def feeds(figures: Figures, assumed: Assumptions) -> int:
    """Feeds that are at work together; more than one only where the exchange gives us parts."""
    return ceil(_cores(assumed.peak_orders_per_second, figures.order, "feed", assumed))


def _cores(rate: float, order: OrderCost, kind: str, assumed: Assumptions) -> float:
    return rate * order.cpu_ms[kind] / 1000 / assumed.busy


def monthly(figures: Figures, assumed: Assumptions) -> Mapping[str, float]:
    """Money a month by what it is for, without the people and without the exchange's own fees.

    What follows the load is paid for its mean, what does not for its peak, all month.
    """
    mean = assumed.orders_per_day / 86_400 / assumed.peak_orders_per_second
    viewing = assumed.viewing_hours * assumed.trading_days / HOURS / assumed.viewers_share
    found = needs(figures, assumed)
    cost = dict.fromkeys(
        ("cells, streams and feeds", "processes for orders", "processes for viewers", "disk"), 0.0
    )
    for need in found:
        per_hour = need.cores * assumed.core_hour + need.memory_gib * assumed.gib_hour
        if not need.follows_load:
            cost["cells, streams and feeds"] += per_hour * HOURS
        elif "viewers" in need.name:
            cost["processes for viewers"] += per_hour * HOURS * viewing
        else:
            cost["processes for orders"] += per_hour * HOURS * mean
        cost["disk"] += need.disk_gib * assumed.disk_gib_month
    hours = assumed.users * assumed.viewing_hours * assumed.trading_days
    sent_gib = hours * 3600 * figures.viewer.bytes_per_second / GIB
    return {**cost, "traffic to viewers": sent_gib * assumed.traffic_gib}
