"""What was measured, as tables."""

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Final

from bench.figures import percentile
from bench.prices.path import ORDERS_PER_SECOND, VIEWERS, Path
from bench.prices.plan import Row
from bench.prices.run import Kind, Measured
from bench.prices.stalled import ROW, SLOW, STALL_SECONDS, Stalled
from bench.tables import Grid

KINDS: Final[Mapping[Kind, str]] = {"hub": "Sherwood", "usual": "the usual way"}
KILO: Final = 1_000
MEGA: Final = 1_000_000
DELIVERY: Final[Sequence[tuple[str, str, Callable[[Measured], float]]]] = (
    ("delivered/s", "{:,.0f}", lambda one: one.delivered_per_second),
    ("of offered", "{:.0%}", lambda one: one.delivered_per_second / one.offered_per_second),
    ("age p50 ms", "{:,.1f}", lambda one: one.percentile_ms(50)),
    ("age p99 ms", "{:,.1f}", lambda one: one.percentile_ms(99)),
    ("core", "{:.2f}", lambda one: one.shares["server"]),
    (
        "us/update",
        "{:.2f}",
        lambda one: MEGA * one.shares["server"] / max(1.0, one.delivered_per_second),
    ),
    ("in kernel", "{:.0%}", lambda one: one.kernel),
    ("opened/s", "{:,.0f}", lambda one: one.opened_per_second),
    ("kB a stream", "{:.1f}", lambda one: one.connection_bytes / KILO),
    ("B/update", "{:.0f}", lambda one: one.watched.bytes / max(1, one.watched.updates)),
    ("updates/read", "{:.1f}", lambda one: one.watched.updates / max(1, one.watched.reads)),
)
"""Heading, how it is written, and the figure of one run."""


def delivery_grid(measured: Sequence[Measured]) -> Grid:
    """Return one line a row and server: of each figure the median of its runs."""
    runs: dict[tuple[Row, Kind], list[Measured]] = {}
    for one in measured:
        runs.setdefault((one.row, one.kind), []).append(one)
    rows = [
        (
            f"{row}, {KINDS[kind]}",
            *(form.format(median(figure(one) for one in same)) for _, form, figure in DELIVERY),
        )
        for (row, kind), same in runs.items()
    ]
    most = max(map(len, runs.values()), default=1)
    title = "Prices delivered by one node on one core"
    if most > 1:
        title += f", medians of {most} runs"
    return Grid(title, ("viewers x updates/s", *(name for name, _, _ in DELIVERY)), rows)


def load_grid(measured: Sequence[Measured]) -> Grid:
    """Return one line a run: whether it is to be trusted, by the load and who else was busy.

    In parts of a core: the client (also while opening), publisher, NATS; `strangers` is what others
    took of the server's. Of the streams that were recorded, how many updates were as they must be.
    """
    rows = [
        (
            f"{one.row}, {KINDS[one.kind]}",
            f"{100 * one.offered_share:.1f} %",
            f"{one.published.late_ms_max:.0f}",
            f"{one.delivered_per_second:,.0f}",
            f"{one.percentile_ms(99):,.1f}",
            f"{one.shares['client']:.2f}",
            f"{one.shares['publisher']:.2f}",
            f"{one.shares['NATS']:.2f}",
            f"{one.opened.cpu_seconds / one.opened.seconds:.2f}",
            f"{one.strangers:.2f}",
            f"{one.opened_bytes / KILO:.1f}",
            f"{one.opened.refused}",
            f"{one.watched.lost}",
            checked(one),
        )
        for one in measured
    ]
    headings = (
        "viewers x updates/s",
        "offered",
        "late ms",
        "delivered/s",
        "p99 ms",
        "client",
        "publisher",
        "NATS",
        "opening",
        "strangers",
        "kB opened",
        "refused",
        "lost",
        "recorded",
    )
    return Grid("Each run: its load, and who else was busy", headings, rows)


def checked(one: Measured) -> str:
    """Return what the recorded streams showed."""
    if one.checked is None:
        return ""
    if one.checked.faults:
        return f"{len(one.checked.faults)} faults"
    return f"{one.checked.updates:,} in order"


def stalled_grid(stalled: Stalled) -> Grid:
    """Return the two windows of the viewers that read all the time."""
    rows = [
        (
            name,
            f"{window.updates / window.seconds:,.0f}",
            f"{percentile(window.ages_ms, 50):.1f}",
            f"{percentile(window.ages_ms, 99):.1f}",
            f"{sizes[0] / MEGA:.1f} to {sizes[1] / MEGA:.1f}",
        )
        for name, window, sizes in (
            ("all read", stalled.before, (stalled.rss[0], stalled.rss[0])),
            (f"{SLOW} stalled", stalled.during, (stalled.rss[0], stalled.rss[2])),
        )
    ]
    title = f"{ROW.viewers - SLOW} of {ROW} beside {SLOW} that stall for {STALL_SECONDS:g} s"
    headings = ("", "delivered/s", "age p50 ms", "age p99 ms", "node, MB")
    return Grid(title, headings, rows)


def path_grid(path: Path) -> Grid:
    """Return ages from the trade's emission, and the orders beside them."""
    samples = path.orders.samples
    rows = [
        (
            f"prices to {VIEWERS:,} viewers",
            f"{path.watched.updates / path.watched.seconds:,.0f}",
            f"{path.percentile_ms(50):.0f}",
            f"{path.percentile_ms(99):.0f}",
            f"{max(path.watched.ages_ms, default=0):.0f}",
            f"{path.watched.lost} streams lost",
        ),
        (
            f"orders, {ORDERS_PER_SECOND:g}/s",
            f"{samples.rate:.1f}",
            f"{samples.percentile_ms(50):.0f}",
            f"{samples.percentile_ms(99):.0f}",
            f"{max(samples.latencies_ms, default=0):.0f}",
            f"{sum(n for ending, n in samples.endings.items() if ending != '201')} not 201",
        ),
    ]
    headings = ("", "per s", "p50 ms", "p99 ms", "max ms", "")
    return Grid(f"The whole path, market at {path.speed:g}x", headings, rows)


def path_cores_grid(path: Path) -> Grid:
    """Return what each process took meanwhile."""
    busy = sorted(path.shares.items(), key=lambda one: -one[1])
    rows = [(name, f"{share:.2f}") for name, share in busy]
    rows.append(("all", f"{sum(path.shares.values()):.2f}"))
    return Grid("Where the whole path's time goes, in cores", ("process", "cores"), rows)
